"""Events in, events out."""

from services.events import Appetite, ObservationsDelivered, codec
from services.events.topics import (
    AGENTS_ACTED,
    MESSAGES_FORWARDED,
    OBSERVATIONS_DELIVERED,
    POPULATION,
    STEP_COMPLETED,
)
from services.message_modulation.application import Modulation
from services.message_modulation.domain import ModulatorState, message_cause
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
        """Return which topic is handled by what."""
        return [
            Route(AGENTS_ACTED.name, self.on_acted),
            Route(MESSAGES_FORWARDED.name, self.on_forwarded),
            Route(POPULATION.name, self.on_appetite),
        ]

    async def on_acted(self, delivery: Delivery) -> None:
        """Route a step."""
        acted = codec.from_delivery(delivery)
        group_id = acted.group.group_id
        async with self._modulation.lock(group_id):
            state, records = await self._modulation.route_step(acted)
            if state is None or self._routed.get(group_id) == acted.step:
                await self._publisher.publish(records)
            else:
                await self._publish(state, [*records, *_outputs(state)])
                self._routed[group_id] = acted.step
        await self._release(group_id)

    async def on_forwarded(self, delivery: Delivery) -> None:
        """Take in a message from another group."""
        message = codec.from_delivery(delivery)
        async with self._modulation.lock(message.group_id):
            # The token alone: what the step published is repeated by the step's own input.
            await self._publish(*await self._modulation.take_in(message))
        await self._release(message.group_id)

    async def on_appetite(self, delivery: Delivery) -> None:
        """Park a region's groups from now on, or release those that are parked."""
        appetite = codec.from_delivery(delivery)
        if not isinstance(appetite, Appetite):
            return
        if not appetite.hungry:
            self._modulation.sated.add(appetite.region)
            return
        self._modulation.sated.discard(appetite.region)
        for group_id, state in self._modulation.groups.items():
            if state.parked and state.group.region == appetite.region:
                await self._release(group_id)

    async def _release(self, group_id: str) -> None:
        # Publish first: after a crash in between, the token goes out again and is dropped there.
        async with self._modulation.lock(group_id):
            token = await self._modulation.parked_token(group_id)
            if token is not None:
                await self._send(token, [])
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
        codec.to_record(MESSAGES_FORWARDED, m.group_id, m, cause=message_cause(m))
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
