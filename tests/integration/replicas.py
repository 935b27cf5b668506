"""Several planners over one log, whose ownership is moved by hand, and one who judges."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from services.events import (
    InstructionGenerated,
    QuotaReleased,
    SampleJudged,
    SocietyImported,
    codec,
)
from services.events.dead_letters import DeadLetterTopic
from services.events.topics import (
    CANDIDATES,
    DATASETS,
    INSTRUCTIONS_GENERATED,
    MODEL_ANSWERS,
    POPULATION,
    SAMPLES_JUDGED,
    SCENARIOS_EXTRACTED,
)
from services.instruction_generation.application import Generation
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.consumer import GenerationConsumer
from services.instruction_generation.domain import Claim
from services.instruction_generation.keeping import ClaimsKeeping
from services.instruction_generation.planner import Planner
from services.reward_filtering.domain import Stratum
from services.runtime.journal import ModelJournal
from services.runtime.keeping import Restoring
from services.runtime.metrics import Metrics
from services.runtime.partitions import partition_of
from services.runtime.state import Changelog
from tests.integration.generating import KINDS, Now
from tests.integration.running import Process, publish

BROADCAST = (DATASETS.name, POPULATION.name, SCENARIOS_EXTRACTED.name, SAMPLES_JUDGED.name)
RESTORED = (CANDIDATES.name, DATASETS.name, MODEL_ANSWERS.name)
PATIENCE = 60.0


class Replica:
    """One process of the service."""

    def __init__(
        self, name: str, process: Process, clock: Callable[[], float], wait: float
    ) -> None:
        self.name, self.wait, log = name, wait, process.log
        self.assigned: set[int] = set()
        self.adopted: set[int] = set()
        partition = partial(partition_of, partitions=log.partitions)
        changelog = Changelog(CANDIDATES.name, GROUP_CLAIMS, log)
        self.planner = Planner(changelog, process.models, self.owns, PATIENCE, clock)
        journal = ModelJournal(MODEL_ANSWERS.name, process.models, log, partition=partition)
        generation = Generation(self.planner, KINDS, journal, lambda: 0.0, wait)
        self.consumer = GenerationConsumer(generation, log)
        restoring = Restoring(name, DeadLetterTopic(log, Metrics()))
        self._keeper = ClaimsKeeping(self.consumer, journal, CANDIDATES.name, restoring)
        self._log = log
        self._source = log.consumer(name, BROADCAST)

    def owns(self, key: str) -> bool:
        """Return whether the state of a key is here."""
        return partition_of(key, self._log.partitions) in self.adopted

    async def learn(self, limit: int = 1_000_000) -> bool:
        """Read that much of what every replica reads; False when there is no more."""
        deliveries = await self._source.poll(limit, wait=False)
        for delivery in deliveries:
            await self.consumer.on_broadcast(delivery)
        return bool(deliveries)

    async def take(self, partition: int) -> None:
        """Come to own a partition."""
        self.assigned.add(partition)
        history = {topic: await self._log.read(topic, partition, 0, -1) for topic in RESTORED}
        await self._keeper.adopt(partition, history)
        self.adopted.add(partition)

    async def give(self, partition: int) -> None:
        """Own a partition no longer."""
        self.assigned.discard(partition)
        self.adopted.discard(partition)
        await self._keeper.release({partition})

    def open_claims(self) -> list[Claim]:
        return [claim for state in self.planner.claims.values() for claim in state.open]


@dataclass
class Cluster:
    """Replicas, and what is true of all of them together."""

    process: Process
    replicas: list[Replica]
    now: Now
    strata: defaultdict[str, Stratum] = field(default_factory=lambda: defaultdict(Stratum))
    """As the filter knows them: only here are samples accepted."""

    @property
    def partitions(self) -> int:
        return self.process.log.partitions

    def owner(self, key: str) -> Replica:
        place = partition_of(key, self.partitions)
        (found,) = [each for each in self.replicas if place in each.assigned]
        return found

    async def move(self, partition: int) -> None:
        """Let the next replica own a partition."""
        (place,) = [n for n, each in enumerate(self.replicas) if partition in each.assigned]
        await self.replicas[place].give(partition)
        await self.replicas[(place + 1) % len(self.replicas)].take(partition)

    async def restart(self, place: int) -> None:
        """Kill a replica, and let a new process take its partitions; it has read everything."""
        killed = self.replicas[place]
        born = self.replicas[place] = Replica(killed.name, self.process, self.now, killed.wait)
        while await born.learn():
            pass
        for partition in killed.assigned:
            await born.take(partition)

    async def made(self) -> list[InstructionGenerated]:
        history = await self.process.log.history(INSTRUCTIONS_GENERATED.name)
        return [codec.from_delivery(delivery) for delivery in history]

    async def judge(self, limit: int, accept: Callable[[str], bool]) -> int:
        """Judge that many candidates as the filter does, and give quota back that is due."""
        log = self.process.log
        for delivery in await log.history(DATASETS.name):
            dataset = codec.from_delivery(delivery)
            for grant in dataset.grants:
                key = f"{dataset.dataset}/{grant.stratum}"
                self.strata[key].grant(grant.granted, grant.recall)
                if self.strata[key].due():
                    released = self.strata[key].released + self.strata[key].due()
                    release = QuotaReleased(dataset.dataset, grant.stratum, released)
                    self.strata[key].apply(release)
                    await publish(log, SAMPLES_JUDGED, key, release)
        judged = 0
        for made in await self.made():
            key = f"{made.dataset}/{made.stratum}"
            stratum = self.strata[key]
            if judged == limit or made.candidate_id in stratum.judged:
                continue
            accepted = bool(made.instruction) and accept(made.candidate_id) and stratum.room > 0
            verdict = SampleJudged(
                sample_id=made.candidate_id,
                dataset=made.dataset,
                stratum=made.stratum,
                kind=made.kind,
                requirement=made.requirement,
                accepted=accepted,
                reason="" if accepted else "length",
                stage="static",
                messages=(),
                provenance=made.provenance,
            )
            stratum.apply(verdict)
            await publish(log, SAMPLES_JUDGED, key, verdict)
            judged += 1
        return judged

    def accepted(self) -> Counter[str]:
        """Return the accepted samples of each dataset."""
        counts: Counter[str] = Counter()
        for key, stratum in self.strata.items():
            counts[key.split("/")[0]] += stratum.accepted
        return counts

    async def settle(self, accept: Callable[[str], bool]) -> None:
        """Go on until nothing happens any more, however long it takes."""
        quiet, rounds = 0, 0
        while quiet < 3:
            rounds += 1
            assert rounds < 100, "it never settles"
            moved = False
            for each in self.replicas:
                while await each.learn():
                    pass
                await each.consumer.tick()
                while await each.consumer.step():
                    moved = True
            moved |= bool(await self.judge(1_000_000, accept))
            quiet = 0 if moved else quiet + 1
            self.now.seconds += PATIENCE


async def cluster(
    process: Process, count: int, regions: dict[str, int], wait: float = 30.0
) -> Cluster:
    """Start replicas that divide all partitions among them.

    Each waits so many seconds for what a claim is about.
    """
    now = Now()
    replicas = [Replica(f"replica-{number}", process, now, wait) for number in range(count)]
    society = SocietyImported(sum(regions.values()), 1, regions, 0, "")
    await publish(process.log, POPULATION, "society", society)
    for partition in range(process.log.partitions):
        await replicas[partition % count].take(partition)
    for each in replicas:
        await each.learn()
    return Cluster(process, replicas, now)
