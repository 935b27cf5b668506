"""All five services over one log: the same parts as in the cluster, wired in one process."""

import asyncio
from pathlib import Path

import services.agent_state
import services.instruction_generation
import services.message_modulation
import services.reward_filtering
import services.scenario_extraction
from services.agent_state.application import Society
from services.agent_state.codec import GROUP_STATE
from services.agent_state.consumer import SocietyConsumer
from services.agent_state.population_control import START_AGENTS, ModelDemand, PopulationControl
from services.agent_state.queries import PopulationQueries
from services.events import topics as t
from services.events.dead_letters import DeadLetterTopic
from services.instruction_generation.application import Generation
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.consumer import GenerationConsumer
from services.instruction_generation.planner import Planner
from services.kinds import Kind
from services.local.log import Log, LogConsumer
from services.message_modulation.application import Modulation
from services.message_modulation.codec import MODULATOR_STATE
from services.message_modulation.consumer import ModulationConsumer
from services.message_modulation.domain import Communication
from services.message_modulation.routing import Router
from services.reward_filtering.application import Filtering
from services.reward_filtering.consumer import FilteringConsumer
from services.reward_filtering.contamination import ContaminationIndex
from services.reward_filtering.workbench import Workbench
from services.reward_filtering.writer import MEMBER, DatasetWriter
from services.runtime.journal import ModelJournal
from services.runtime.metrics import Metrics
from services.runtime.ports import ChatModel, Clock, Embedder
from services.runtime.prompts import Prompt, load_prompts
from services.runtime.resting import AWAKE_GROUPS
from services.runtime.state import Changelog
from services.runtime.worker import Route, Worker
from services.scenario_extraction.application import Extraction
from services.scenario_extraction.codec import WINDOW_STATE
from services.scenario_extraction.consumer import ExtractionConsumer


def prompts_of(package: object) -> dict[str, Prompt]:
    """Return the prompts of a service."""
    return load_prompts(Path(str(package.__file__)).parent / "prompts")  # type: ignore[attr-defined]


class Composition:
    """The five services of one process, restored from the log."""

    def __init__(
        self,
        log: Log,
        model: ChatModel,
        embedder: Embedder,
        kinds: dict[str, Kind],
        communication: Communication,
        datasets: Path,
        metrics: Metrics,
        clock: Clock,
        seeded: bool,
        benchmarks: ContaminationIndex | None = None,
        held_out: bool = False,
        workbench: Workbench | None = None,
        demand: ModelDemand | None = None,
        start_agents: int = START_AGENTS,
    ) -> None:
        self.log = log
        self.embedder = embedder
        self.metrics = metrics
        self.kinds = kinds
        self._clock = clock
        self.journal = ModelJournal(t.MODEL_ANSWERS.name, model, log, seeded, metrics.model)
        society = metrics.society
        self.society = Society(
            Changelog(t.AGENTS.name, GROUP_STATE, log, AWAKE_GROUPS),
            self.journal,
            embedder,
            prompts_of(services.agent_state),
            society,
        )
        self.modulation = Modulation(
            Changelog(t.GROUPS.name, MODULATOR_STATE, log, AWAKE_GROUPS),
            self.journal,
            Router(prompts_of(services.message_modulation), communication),
            society,
        )
        self.extraction = Extraction(
            Changelog(t.WINDOWS.name, WINDOW_STATE, log, AWAKE_GROUPS),
            self.journal,
            embedder,
            prompts_of(services.scenario_extraction),
            society,
        )
        self.planner = Planner(Changelog(t.CANDIDATES.name, GROUP_CLAIMS, log), embedder)
        self.generation = GenerationConsumer(
            Generation(self.planner, kinds, self.journal, clock), log, metrics=metrics.line
        )
        self.filtering = Filtering(
            self.journal,
            embedder,
            prompts_of(services.reward_filtering),
            kinds,
            clock,
            workbench=workbench,
            benchmarks=benchmarks,
            held_out=held_out,
        )
        self._filtering_consumer = FilteringConsumer(
            self.filtering, log, metrics=metrics.line, clock=clock
        )
        self._datasets = datasets
        self.writer_source, self.writer = self._make_writer()
        letters = DeadLetterTopic(log, metrics)
        self._modulation_consumer = modulation = ModulationConsumer(self.modulation, log)
        routes: dict[str, list[Route]] = {
            "reward_filtering": self._filtering_consumer.all_routes(),
            "instruction_generation": self.generation.all_routes(),
            "scenario_extraction": ExtractionConsumer(self.extraction, log).routes(),
            "message_modulation": [*modulation.routes(), *modulation.broadcasts()],
            "agent_state": SocietyConsumer(self.society, log).routes(),
        }
        self._population = PopulationQueries()
        self._control: PopulationControl | None = None
        if demand is not None:
            self._control = PopulationControl(
                self._population,
                demand,
                log,
                lambda: True,
                metrics,
                clock,
                start_agents=start_agents,
            )
            routes["population_control"] = self._population.broadcasts()
        self.sources = {
            name: log.consumer(name, [route.topic for route in own]) for name, own in routes.items()
        }
        self.workers = {
            name: Worker(name, self.sources[name], own, letters, metrics=metrics.kafka)
            for name, own in routes.items()
        }
        """By service, later stages first."""

    def _make_writer(self) -> tuple[LogConsumer, DatasetWriter]:
        """Return a dataset writer that goes on where the last one committed."""
        source = self.log.consumer(MEMBER, [t.SAMPLES_JUDGED.name])
        return source, DatasetWriter(
            source,
            lambda name: str(self._datasets / name),
            patient=False,
            metrics=self.metrics,
            clock=self._clock,
        )

    async def write_rest(self) -> None:
        """Write the verdicts that are in no table yet, once nobody judges or writes any more.

        When an order is filled, verdicts on other candidates may still come while the work ends.
        """
        _, writer = self._make_writer()
        while await writer.step():
            pass

    async def restore(self) -> None:
        """Take over the state that earlier processes left in the log."""
        history = self.log.history
        self._population.restore(await history(t.POPULATION.name))
        if self._control is not None:
            await self._control.begin()
        for changelog in (self.society.groups, self.modulation.groups, self.extraction.windows):
            async for batch in self.log.batches(changelog.topic):
                changelog.restore(batch)
        self.journal.restore(await history(t.MODEL_ANSWERS.name))
        datasets = await history(t.DATASETS.name)
        verdicts = await history(t.SAMPLES_JUDGED.name)
        population = await history(t.POPULATION.name)
        scenarios = await history(t.SCENARIOS_EXTRACTED.name)
        self.generation.restore(datasets, population, scenarios, verdicts)
        self.generation.adopt(await history(t.CANDIDATES.name))
        self._filtering_consumer.restore(datasets, verdicts)
        self._modulation_consumer.restore(population)
        await self._modulation_consumer.release_parked()
        await self._filtering_consumer.release_due()

    @property
    def idle(self) -> bool:
        """Whether no service has anything to do, now or later, unless something is ordered."""
        return (
            all(worker.pending == 0 for worker in self.workers.values())
            and all(source.lag == 0 for source in self.sources.values())
            and self.generation.idle
            and self.writer_source.lag == 0
            and not self.writer.busy
            and not (self._control is not None and self.modulation.holds_back)
        )

    async def work(self, hands: int) -> None:
        """Run all services side by side until cancelled; raises what ends any of them."""
        tasks = [asyncio.create_task(w.run(), name=n) for n, w in self.workers.items()]
        tasks.append(asyncio.create_task(self.generation.work(hands), name="claims"))
        tasks.append(asyncio.create_task(self.writer.run(), name="dataset-writer"))
        if self._control is not None:
            tasks.append(asyncio.create_task(self._control.run(), name="population-control"))
        try:
            # Not gather: cancelled, it cancels them, and a second time would break off their ends.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def step(self) -> bool:
        """Do the next piece of work, alone and in a fixed order; False when there is none."""
        if await self.writer.step():
            return True
        for name, worker in self.workers.items():
            if await worker.step():
                return True
            if name == "reward_filtering" and await self.generation.step():
                return True
        return False
