"""The controller of the population: who decides, on what, and what it tells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.agent_state.population_control import START_AGENTS, PopulationControl
from services.agent_state.queries import PopulationQueries
from services.events import Appetite, PopulationSet, PopulationTarget, SocietyImported, codec
from services.events.topics import POPULATION
from services.runtime.admission import Demand
from services.runtime.errors import Retryable
from services.runtime.metrics import Metrics
from services.runtime.model_load import ServerLoad
from services.runtime.ports import Delivery, Record, Role

NOW = 1_700_000_000.0
SOCIETY = SocietyImported(1000, 200, {"r0": 600, "r1": 400}, 0, "f", 1.0)


def told(running: float, waiting: float, held: int = 0) -> Demand:
    """Return what a server with /metrics says."""
    return Demand(ServerLoad(running, waiting), round(running + waiting), held)


IDLE, FULL = told(8.0, 0.0), told(64.0, 400.0, 20)


@dataclass
class Bench:
    """A controller over a log in memory and a server that says what it is told to."""

    demand: Demand | None = IDLE
    owns: bool = True
    records: list[Record] = field(default_factory=list)
    refuses: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.queries = PopulationQueries()
        self.control = self.controller()

    def controller(self) -> PopulationControl:
        """Return what a process that starts now has."""

        class Server:
            def demand(_, role: Role) -> Demand:
                assert role == "simulator"
                assert self.demand is not None
                return self.demand

        return PopulationControl(
            self.queries,
            None if self.demand is None else Server(),
            self,
            lambda: self.owns,
            self.metrics,
            lambda: NOW,
            lambda: self.seconds,
        )

    async def publish(self, records: Sequence[Record]) -> None:
        """Take records, as the log does."""
        if self.refuses:
            raise Retryable("no broker")
        self.records += records

    def learn(self, *events: Any) -> None:
        """Have it read from the topic."""
        for event in events:
            record = codec.to_record(POPULATION, "k", event)
            delivery = Delivery(POPULATION.name, 0, 0, "k", record.value, record.headers)
            self.queries.restore([delivery])

    async def pass_seconds(self, count: int) -> None:
        """Let time pass."""
        for _ in range(count):
            self.seconds += 1
            await self.control.tick()

    @property
    def targets(self) -> list[PopulationTarget]:
        """What was published, from the oldest on."""
        deliveries = (Delivery(r.topic, 0, 0, r.key, r.value, r.headers) for r in self.records)
        return [codec.from_delivery(delivery) for delivery in deliveries]

    def wanted(self) -> "Bench":
        """Have a society whose regions are wanted."""
        self.learn(SOCIETY, Appetite("r0", True), Appetite("r1", True))
        return self


async def test_the_first_target_is_there_before_the_society_is() -> None:
    bench = Bench()
    await bench.pass_seconds(3)
    assert bench.targets == [PopulationTarget(START_AGENTS, "start", NOW)]
    assert bench.records[0].key == "target"
    assert bench.metrics.society.target == START_AGENTS


async def test_a_lack_of_calls_raises_the_target_and_a_long_backlog_lowers_it() -> None:
    bench = Bench().wanted()
    await bench.pass_seconds(5)
    assert [target.active_agents for target in bench.targets] == [START_AGENTS, 2 * START_AGENTS]
    bench.demand = FULL
    await bench.pass_seconds(10)
    last = bench.targets[-1]
    assert last.active_agents is not None
    assert (last.reason, last.active_agents < START_AGENTS) == ("backlog too long", True)
    assert (last.running, last.backlog, last.slots) == (64.0, 420.0, 64.0)
    assert last.decided_at == NOW
    assert bench.metrics.society.target == last.active_agents


async def test_only_the_owner_of_the_target_decides() -> None:
    bench = Bench(owns=False).wanted()
    await bench.pass_seconds(30)
    assert bench.targets == []
    # But every replica tells what the owner said last.
    bench.learn(PopulationTarget(70, "slots are free", NOW))
    await bench.pass_seconds(1)
    assert bench.metrics.society.target == 70


async def test_a_new_owner_goes_on_from_the_last_target_and_what_was_known_of_the_server() -> None:
    bench = Bench().wanted()
    bench.learn(PopulationTarget(300, "slots are free", NOW, 250.0, 10.0, 256.0))
    bench.demand = told(200.0, 0.0)
    await bench.pass_seconds(2)
    (target,) = bench.targets
    # Not twice as many: 56 of 256 slots are free, and an agent is counted for 3/4 of a call.
    assert (target.active_agents, target.reason) == (375, "slots are free")


async def test_while_nothing_is_wanted_the_target_rests_and_says_so_once() -> None:
    bench = Bench().wanted()
    await bench.pass_seconds(1)
    bench.learn(Appetite("r0", False), Appetite("r1", False))
    await bench.pass_seconds(60)
    assert [(t.active_agents, t.reason) for t in bench.targets] == [
        (START_AGENTS, "start"),
        (START_AGENTS, "no dataset wants scenarios"),
    ]
    bench.learn(Appetite("r1", True))
    await bench.pass_seconds(1)
    assert (bench.targets[-1].active_agents, bench.targets[-1].reason) == (START_AGENTS, "goes on")


async def test_no_more_than_the_wanted_regions_have_and_the_limits_allow() -> None:
    bench = Bench()
    bench.learn(SOCIETY, Appetite("r1", True))
    await bench.pass_seconds(60)
    assert bench.targets[-1].active_agents == 400
    bench.learn(PopulationSet(250, NOW, 30))
    await bench.pass_seconds(1)
    assert (bench.targets[-1].active_agents, bench.targets[-1].reason) == (250, "limits")
    bench.demand = FULL
    await bench.pass_seconds(60)
    assert bench.targets[-1].active_agents == 30


async def test_a_server_that_does_not_tell_is_known_by_the_calls_of_this_process() -> None:
    bench = Bench(Demand(None, in_flight=64, held=500)).wanted()
    await bench.pass_seconds(11)
    last = bench.targets[-1]
    assert (last.running, last.backlog, last.reason) == (64.0, 500.0, "backlog too long")


async def test_a_server_that_is_away_is_no_reason_for_more_agents() -> None:
    bench = Bench(Demand(None, in_flight=0, held=0)).wanted()
    for _ in range(60):
        bench.metrics.model.retries["broken connection"] += 5
        await bench.pass_seconds(1)
    assert [target.active_agents for target in bench.targets] == [START_AGENTS]
    for _ in range(10):
        bench.metrics.model.calls["simulator", "act"] += 5
        await bench.pass_seconds(1)
    assert len(bench.targets) > 1


async def test_switched_off_a_target_of_before_is_called_off() -> None:
    bench = Bench(None).wanted()
    await bench.pass_seconds(2)
    assert bench.targets == []
    bench.learn(PopulationTarget(30, "slots are free", NOW))
    await bench.pass_seconds(2)
    assert bench.targets == [PopulationTarget(None, "not controlled", NOW)]
    assert bench.metrics.society.target is None


async def test_a_log_that_takes_nothing_leaves_the_target_as_it_was() -> None:
    bench = Bench().wanted()
    await bench.pass_seconds(1)
    bench.refuses = True
    with pytest.raises(Retryable):
        await bench.pass_seconds(10)
    assert bench.queries.target.active_agents == START_AGENTS
    bench.refuses = False
    await bench.pass_seconds(1)
    assert bench.targets[-1].active_agents == 2 * START_AGENTS
