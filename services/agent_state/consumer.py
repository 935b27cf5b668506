"""Events in, events out."""

from services.agent_state.application import Society
from services.events import AgentsJoined, GroupFounded, ObservationsDelivered, codec
from services.events.topics import AGENTS_ACTED, OBSERVATIONS_DELIVERED
from services.runtime.ports import Delivery, Publisher
from services.runtime.worker import Route


class SocietyConsumer:
    """Takes the tokens of groups, and publishes what their agents did."""

    def __init__(self, society: Society, publisher: Publisher) -> None:
        self._society = society
        self._publisher = publisher

    def routes(self) -> list[Route]:
        """Return what handles the events of the groups that are owned."""
        # The society is a ring: a trace that went on with each token would never end.
        step = ObservationsDelivered.__name__
        return [Route(OBSERVATIONS_DELIVERED.name, self.on_event, begins=step)]

    async def on_event(self, delivery: Delivery) -> None:
        """Take in a new group or more of its people, tell its modulator, or let a group act."""
        event = codec.from_delivery(delivery)
        if isinstance(event, GroupFounded):
            await self._on_founded(event)
        elif isinstance(event, AgentsJoined):
            await self._on_joined(event)
        else:
            await self._on_token(event)

    async def _on_founded(self, founded: GroupFounded) -> None:
        await self._society.found(founded)
        # Only now is its modulator told, so that no token can come before the agents are there; a
        # repeat is told again, since a crash may have come in between, and ends there.
        key = founded.group.group_id
        record = codec.to_record(AGENTS_ACTED, key, founded, cause="founded")
        await self._publisher.publish([record])

    async def _on_joined(self, joined: AgentsJoined) -> None:
        await self._society.join(joined)
        # As above: only who is here can be given a token.
        await self._publisher.publish([codec.to_record(AGENTS_ACTED, joined.group_id, joined)])

    async def _on_token(self, token: ObservationsDelivered) -> None:
        acted, tombstones = await self._society.take_step(token)
        if acted is not None:
            cause = f"step/{acted.step}"
            record = codec.to_record(AGENTS_ACTED, token.group_id, acted, cause=cause)
            await self._publisher.publish([record, *tombstones])
