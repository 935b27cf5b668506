"""Instruction generation over a log and simulated models, and what it is given to work on."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.events import (
    Action,
    AgentCard,
    DatasetDeclared,
    InstructionGenerated,
    QuotaReleased,
    RoutedAction,
    SampleJudged,
    ScenarioExtracted,
    SocietyImported,
)
from services.events.topics import (
    CANDIDATES,
    DATASETS,
    INSTRUCTIONS_GENERATED,
    POPULATION,
    SAMPLES_JUDGED,
    SCENARIOS_EXTRACTED,
)
from services.instruction_generation.application import Generation
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.consumer import GenerationConsumer
from services.instruction_generation.domain import Claim, stratum_key, stratum_of
from services.instruction_generation.orders import ordered
from services.instruction_generation.planner import Planner
from services.kinds import load_kinds
from services.local.log import Log
from services.local.simulator import SimulatorSettings
from services.local.simulator.embeddings import embed
from services.runtime.state import Changelog
from tests.integration.running import Process, events, process, publish, work

KINDS = load_kinds()
BAKERS = "Bakers knead dough and heat the old oven before dawn."
NURSES = "Nurses count tablets in the hospital pharmacy at night."


def order(size: int, domain: str = "", **regions: int) -> DatasetDeclared:
    kind = "domain" if domain else "sft"
    return ordered(KINDS, "d", kind, size, domain, regions or {"r00": 1}, seed=0, now=0.0)


def scenario(
    name: str, agents: int = 3, region: str = "r00", summary: str = BAKERS
) -> ScenarioExtracted:
    cards = tuple(
        AgentCard(f"{name}{n}", f"Person {n}", "", f"{summary} Person {n}.") for n in range(agents)
    )
    actions = tuple(
        RoutedAction(Action(f"act-{c.agent_id}", c.agent_id, c.name, "plan", 1, f"{c.name} waits."))
        for c in cards
    )
    vector = tuple(embed(summary).tolist())
    return ScenarioExtracted(
        name, f"group-{name}", region, 0, 0, 2, summary, cards, actions, vector
    )


@dataclass
class Now:
    """A clock that tests move on."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Running:
    process: Process
    planner: Planner
    generation: Generation
    consumer: GenerationConsumer

    async def handle(self, *sent: DatasetDeclared | ScenarioExtracted | QuotaReleased) -> None:
        """Send events one by one, and plan."""
        log = self.process.log
        for event in sent:
            if isinstance(event, DatasetDeclared):
                await publish(log, DATASETS, event.dataset, event)
            elif isinstance(event, QuotaReleased):
                await publish(log, SAMPLES_JUDGED, f"d/{event.stratum}", event)
            else:
                await publish(log, SCENARIOS_EXTRACTED, event.group_id, event)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Handle what others published."""
        await work(self.process.worker("instruction_generation", self.consumer.all_routes()))

    async def made(self) -> list[InstructionGenerated]:
        """Work off what is claimed, and return all instructions so far."""
        while await self.consumer.step():
            pass
        return await events(self.process.log, INSTRUCTIONS_GENERATED)

    async def judge(self, accept: int = 1_000_000) -> None:
        """Give their verdict to candidates without one: that many are accepted, the rest not."""
        verdicts = await events(self.process.log, SAMPLES_JUDGED)
        judged = {verdict.sample_id for verdict in verdicts if isinstance(verdict, SampleJudged)}
        made = {each.candidate_id: each for each in await self.made()}
        for number, name in enumerate(sorted(made.keys() - judged)):
            each, accepted = made[name], number < accept
            verdict = SampleJudged(
                sample_id=name,
                dataset=each.dataset,
                stratum=each.stratum,
                kind=each.kind,
                requirement=each.requirement,
                accepted=accepted,
                reason="" if accepted else "length",
                stage="static",
                messages=(),
                provenance=each.provenance,
            )
            await publish(self.process.log, SAMPLES_JUDGED, f"d/{each.stratum}", verdict)
        await self.catch_up()


@asynccontextmanager
async def running(
    log: Log,
    chat: SimulatorSettings | None = None,
    embedded_tokens: int = 8192,
    owns: Callable[[str], bool] = lambda key: True,
    reuse_after: float = math.inf,
    clock: Callable[[], float] = lambda: 0.0,
    supervised: bool = False,
) -> AsyncIterator[Running]:
    embedding = SimulatorSettings(max_model_len=embedded_tokens)
    async with process(log, chat or SimulatorSettings(), embedding) as parts:
        changelog = Changelog(CANDIDATES.name, GROUP_CLAIMS, log)
        planner = Planner(changelog, parts.models, owns, reuse_after, clock)
        planner.set_society(SocietyImported(2, 2, {"r00": 1, "r01": 1}, 0, ""))
        generation = Generation(planner, KINDS, parts.journal, lambda: 0.0, patience_seconds=0)
        consumer = GenerationConsumer(generation, log, supervised, pause_seconds=0)
        topics = (DATASETS, POPULATION, SCENARIOS_EXTRACTED, SAMPLES_JUDGED)
        consumer.restore(*[await log.history(topic.name) for topic in topics])
        consumer.adopt(
            delivery
            for delivery in await log.history(CANDIDATES.name)
            if owns(stratum_key(*stratum_of(delivery.key)))
        )
        yield Running(parts, planner, generation, consumer)


async def claims(log: Log) -> list[Claim]:
    """Return the open claims as the log has them."""
    history = await log.history(CANDIDATES.name)
    return [claim for delivery in history for claim in GROUP_CLAIMS.decode(delivery.value).open]


def pairs(made: list[InstructionGenerated]) -> Counter[tuple[str, str]]:
    places = {each.candidate_id: each.provenance for each in made}
    return Counter((place.scenario_id, place.agent_id) for place in places.values())
