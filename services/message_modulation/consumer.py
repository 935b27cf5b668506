"""Events in, events out."""

import asyncio
import contextlib
from collections.abc import Iterable

from services.events import (
    AgentsActed,
    AgentsJoined,
    Appetite,
    GroupFounded,
    JoinDecided,
    MessagesForwarded,
    ObservationsDelivered,
    PopulationSet,
    PopulationTarget,
    SocietyImported,
    codec,
)
from services.events.topics import (
    AGENTS_ACTED,
    OBSERVATIONS_DELIVERED,
    POPULATION,
    STEP_COMPLETED,
)
from services.message_modulation.application import Modulation
from services.message_modulation.domain import ModulatorState, message_cause
from services.runtime.errors import NotOwner
from services.runtime.ports import Delivery, Publisher, Record
from services.runtime.worker import Route


class ModulationConsumer:
    """Takes what groups did and what other groups send them, and publishes what follows."""

    def __init__(self, modulation: Modulation, publisher: Publisher) -> None:
        self._modulation = modulation
        self._publisher = publisher
        # By group, the last step whose outputs, and the last one whose token, this process knows
        # to be in the log. A repeat ends there; published again, it would go round the ring for
        # ever, and by what it forwards make more repeats in other groups.
        self._routed: dict[str, int] = {}
        self._sent: dict[str, int] = {}

    def routes(self) -> list[Route]:
        """Return what handles the events of the groups that are owned."""
        return [Route(AGENTS_ACTED.name, self.on_event)]

    def broadcasts(self) -> list[Route]:
        """Return what handles the events that every replica reads."""
        return [Route(POPULATION.name, self.on_population)]

    async def on_event(self, delivery: Delivery) -> None:
        """Take in what happened to a group."""
        event = codec.from_delivery(delivery)
        if isinstance(event, GroupFounded):
            await self._on_founded(event)
        elif isinstance(event, AgentsJoined):
            await self._on_joined(event)
        elif isinstance(event, MessagesForwarded):
            await self._on_forwarded(event)
        else:
            await self._on_acted(event)

    async def _on_founded(self, founded: GroupFounded) -> None:
        """Hold the first token of a group."""
        async with self._modulation.lock(founded.group.group_id):
            state = await self._modulation.found(founded)
            await self._publish(state, [])
        await self._release(founded.group.group_id)

    async def _on_joined(self, joined: AgentsJoined) -> None:
        """Take in who joined a group."""
        async with self._modulation.lock(joined.group_id):
            await self._publish(await self._modulation.join(joined), [])
        await self._release(joined.group_id)

    async def _on_acted(self, acted: AgentsActed) -> None:
        """Route a step."""
        group_id = acted.group.group_id
        async with self._modulation.lock(group_id):
            state, records = await self._modulation.route_step(acted)
            if state is None or self._routed.get(group_id) == acted.step:
                await self._publisher.publish(records)
            else:
                await self._publish(state, [*records, *_outputs(state)])
                self._routed[group_id] = acted.step
        await self._release(group_id)

    async def _on_forwarded(self, message: MessagesForwarded) -> None:
        """Take in a message from another group."""
        async with self._modulation.lock(message.group_id):
            # The token alone: what the step published is repeated by the step's own input.
            routed = self._routed.get(message.group_id)
            await self._publish(*await self._modulation.take_in(message, routed))
        await self._release(message.group_id)

    async def on_population(self, delivery: Delivery) -> None:
        """Learn which groups are to run: others park from now on, parked ones are released."""
        if self._learn(delivery):
            await self.release_parked()

    def restore(self, history: Iterable[Delivery]) -> None:
        """Learn from the population topic so far which groups are to run; releases none.

        What was wanted once and is not any more must release nothing, nor may a region do so
        before the limit is known: read all there is, then call `release_parked`.
        """
        for delivery in history:
            self._learn(delivery)

    def _learn(self, delivery: Delivery) -> bool:
        """Return whether the event says which groups are to run."""
        event = codec.from_delivery(delivery)
        if isinstance(event, Appetite):
            self._modulation.set_wanted(event.region, event.hungry)
        elif isinstance(event, PopulationSet):
            self._modulation.max_agents = event.max_agents
            self._modulation.min_agents = event.min_agents
        elif isinstance(event, PopulationTarget):
            self._modulation.target = event.active_agents
        else:
            # At the decision already, so that the limit holds when the first newcomer comes.
            society = event.society if isinstance(event, JoinDecided) else event
            if not isinstance(society, SocietyImported):
                return False
            self._modulation.set_society(society)
        return True

    async def release_parked(self) -> None:
        """Send on the groups that are parked and may run.

        To be called too when the states of a partition were restored: what its groups waited for
        may have been said while nobody owned them.
        """
        # At once: each waits for two records to be durable.
        await asyncio.gather(*map(self._release, self._modulation.releasable()))

    async def _release(self, group_id: str) -> None:
        # Publish first: after a crash in between, the token goes out again and is dropped there.
        async with self._modulation.lock(group_id):
            token = await self._modulation.parked_token(group_id)
            if token is not None:
                await self._send(token, [])
                # Not owned any more: whoever is the owner releases it.
                with contextlib.suppress(NotOwner):
                    await self._modulation.unpark(group_id)

    async def _publish(self, state: ModulatorState | None, records: list[Record]) -> None:
        token = None if state is None or state.parked else state.token
        if token is None or self._sent.get(token.group_id) == token.step:
            await self._publisher.publish(records)
        else:
            await self._send(token, records)

    async def _send(self, token: ObservationsDelivered, records: list[Record]) -> None:
        await self._publisher.publish([*records, _token_record(token)])
        self._sent[token.group_id] = token.step


def _outputs(state: ModulatorState) -> list[Record]:
    """Return what a step publishes beside its token."""
    records = [
        codec.to_record(AGENTS_ACTED, m.group_id, m, cause=message_cause(m))
        for m in state.forwarded
    ]
    if state.completed is not None:
        key, cause = state.group.group_id, f"step/{state.applied_step}"
        records.append(codec.to_record(STEP_COMPLETED, key, state.completed, cause=cause))
    return records


def _token_record(token: ObservationsDelivered) -> Record:
    return codec.to_record(
        OBSERVATIONS_DELIVERED, token.group_id, token, cause=f"step/{token.step}"
    )
