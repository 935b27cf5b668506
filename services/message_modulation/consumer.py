"""Events in, events out."""

from services.events import Appetite, ObservationsDelivered, codec
from services.events.topics import (
    AGENTS_ACTED,
    MESSAGES_FORWARDED,
    OBSERVATIONS_DELIVERED,
    POPULATION,
    STEP_COMPLETED,
)
from services.message_modulation.application import Modulation, Outcome
from services.message_modulation.domain import message_cause
from services.runtime.ports import Delivery, Publisher, Record
from services.runtime.worker import Route


class ModulationConsumer:
    """Takes what groups did and what other groups send them, and publishes what follows."""

    def __init__(self, modulation: Modulation, publisher: Publisher) -> None:
        self._modulation = modulation
        self._publisher = publisher

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
        await self._publish(await self._modulation.route_step(acted))
        await self._release(acted.group.group_id)

    async def on_forwarded(self, delivery: Delivery) -> None:
        """Take in a message from another group."""
        message = codec.from_delivery(delivery)
        # The token alone: what the step published before is repeated by the step's own input, and
        # groups that answered each other's repeats with repeats would never stop.
        state, records = await self._modulation.take_in(message)
        if state is not None and state.token is not None and not state.parked:
            records.append(_token_record(state.token))
        await self._publisher.publish(records)
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
        async with self._modulation.release_lock(group_id):
            token = await self._modulation.parked_token(group_id)
            if token is not None:
                await self._publisher.publish([_token_record(token)])
                await self._modulation.unpark(group_id)

    async def _publish(self, outcome: Outcome) -> None:
        state, records = outcome
        if state is not None:
            step = f"step/{state.applied_step}"
            if state.completed is not None:
                key = state.group.group_id
                records.append(codec.to_record(STEP_COMPLETED, key, state.completed, cause=step))
            for message in state.forwarded:
                cause = message_cause(message)
                record = codec.to_record(MESSAGES_FORWARDED, message.group_id, message, cause=cause)
                records.append(record)
            if state.token is not None and not state.parked:
                records.append(_token_record(state.token))
        await self._publisher.publish(records)


def _token_record(token: ObservationsDelivered) -> Record:
    return codec.to_record(
        OBSERVATIONS_DELIVERED, token.group_id, token, cause=f"step/{token.step}"
    )
