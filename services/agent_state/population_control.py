"""The controller of the population: reads the model server each second, and publishes targets."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import structlog

from services.agent_state.control import changed, decided, observed
from services.agent_state.control_values import Bounds, Control, Decision, Reading
from services.agent_state.queries import PopulationQueries
from services.events import PopulationTarget, SocietyImported, codec
from services.events.topics import POPULATION
from services.runtime.admission import Demand
from services.runtime.errors import Retryable
from services.runtime.metrics import Metrics
from services.runtime.ports import Clock, Publisher, Role

TARGET = "target"
"""Key of the target: who owns it controls the population, and nobody else."""
START_AGENTS = 256
"""Active at first, before anything is known of the server: as many as vLLM runs calls at once,
unless it is told otherwise or has a large GPU."""
TICK_SECONDS = 1.0
_RESTS = "no dataset wants scenarios"
_log = structlog.get_logger(__name__)


class ModelDemand(Protocol):
    """Knows what is asked of the models' servers."""

    def demand(self, role: Role) -> Demand:
        """Return what is asked of the server of `role`, as of its last word."""


class PopulationControl:
    """Parks and releases groups by a target, so that the model server is just saturated.

    Any replica may run it; the owner of the key `TARGET` decides, and goes on from the last target
    in the log. Without `demand` nothing is controlled, and a target of before is called off.
    """

    def __init__(
        self,
        population: PopulationQueries,
        demand: ModelDemand | None,
        publisher: Publisher,
        owns: Callable[[], bool],
        metrics: Metrics,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        start_agents: int = START_AGENTS,
    ) -> None:
        self._population = population
        self._demand = demand
        self._publisher = publisher
        self._owns = owns
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._start = start_agents
        self._control: Control | None = None
        self._answered = self._retried = 0
        self._due: float | None = None
        """When the next look should be, by `monotonic`."""

    async def run(self) -> None:
        """Control until cancelled."""
        while True:
            try:
                await self.tick()
            except Retryable as error:
                _log.warning("the population is left as it is", reason=str(error))
            self._due = self._monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)

    async def begin(self) -> None:
        """Publish a first target where there is none: before a society is there and all can act.

        Raises:
            Retryable: the log does not take it.
        """
        if self._demand is None or self._population.target.active_agents is not None:
            return
        limit = self._population.limit
        first = Bounds(self._start, 1.0, limit.min_agents, limit.max_agents).within(self._start)
        await self._publish(PopulationTarget(first, "start", self._clock()))

    async def tick(self) -> None:
        """Take a reading, and publish a new target if there is a better one.

        Raises:
            Retryable: the log does not take it.
        """
        target = self._population.target
        self._metrics.society.target = target.active_agents
        society = self._population.society
        if not self._owns():
            self._control = None
            return
        await self.begin()
        if self._demand is None:
            if target.active_agents is not None:
                await self._publish(PopulationTarget(None, "not controlled", self._clock()))
        elif society is None:
            self._control = None
        elif not (usable := self._population.wanted_agents):
            await self._rest()
        else:
            await self._steer(self._demand.demand("simulator"), self._bounds(society, usable))

    def _bounds(self, society: SocietyImported, usable: int) -> Bounds:
        limit = self._population.limit
        group = society.agents / max(1, society.groups)
        return Bounds(usable, group, limit.min_agents, limit.max_agents)

    async def _rest(self) -> None:
        """Leave the target as it is while nothing is wanted: work begins again with as many."""
        self._control = None
        last = self._population.target
        if last.active_agents is not None and last.reason != _RESTS:
            await self._publish(replace(last, reason=_RESTS, decided_at=self._clock()))

    async def _steer(self, demand: Demand, bounds: Bounds) -> None:
        now = self._monotonic()
        if self._control is None:
            self._control = await self._begun(now)
        if self._server_is_away():
            self._control = replace(self._control, readings=())
            return
        reading = self._reading(demand, now)
        self._control = observed(self._control, reading)
        decision = decided(self._control, bounds)
        if decision is not None:
            await self._set(self._control, decision, reading)

    async def _begun(self, now: float) -> Control:
        """Return a controller that goes on from the last target."""
        last = self._population.target
        if last.reason == _RESTS:
            await self._publish(replace(last, reason="goes on", decided_at=self._clock()))
        slots, active = last.slots or None, last.active_agents or 0
        return Control(active, now, slots, known=slots is not None, filled=last.slots)

    async def _set(self, control: Control, decision: Decision, reading: Reading) -> None:
        target, reason, slots = decision.target, decision.reason, control.slots or 0.0
        now, running, backlog = self._clock(), reading.running, reading.backlog
        await self._publish(PopulationTarget(target, reason, now, running, backlog, slots))
        self._control = changed(control, decision, reading.at)
        _log.info(
            "population target",
            before=control.target,
            after=target,
            reason=reason,
            running=running,
            backlog=backlog,
            slots=slots,
        )

    async def _publish(self, event: PopulationTarget) -> None:
        record = codec.to_record(POPULATION, TARGET, event)
        await self._publisher.publish([record])
        self._population.set_target(event)
        self._metrics.society.target = event.active_agents
        self._metrics.society.target_changes[event.reason] += 1

    def _reading(self, demand: Demand, now: float) -> Reading:
        """Return the load; of a server that does not tell, what this process knows of it."""
        late = 0.0 if self._due is None else max(0.0, now - self._due)
        if demand.load is None:
            return Reading(now, demand.in_flight, demand.held, late)
        return Reading(now, demand.load.running, demand.load.waiting + demand.held, late)

    def _server_is_away(self) -> bool:
        """Return whether calls failed since the last look, and none was answered.

        They wait for another attempt then and are seen nowhere: that is no lack of agents.
        """
        model = self._metrics.model
        answered, retried = model.calls.total(), model.retries.total()
        away = retried > self._retried and answered == self._answered
        self._answered, self._retried = answered, retried
        return away
