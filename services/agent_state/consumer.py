"""Events in, events out."""

from services.agent_state.application import Society
from services.events import codec
from services.events.topics import AGENTS_ACTED, OBSERVATIONS_DELIVERED
from services.runtime.ports import Delivery, Publisher
from services.runtime.worker import Route


class SocietyConsumer:
    """Takes the tokens of groups, and publishes what their agents did."""

    def __init__(self, society: Society, publisher: Publisher) -> None:
        self._society = society
        self._publisher = publisher

    def routes(self) -> list[Route]:
        """Return which topic is handled by what."""
        return [Route(OBSERVATIONS_DELIVERED.name, self.on_token)]

    async def on_token(self, delivery: Delivery) -> None:
        """Let the group act."""
        token = codec.from_delivery(delivery)
        acted, tombstones = await self._society.take_step(token)
        if acted is not None:
            cause = f"step/{acted.step}"
            record = codec.to_record(AGENTS_ACTED, token.group_id, acted, cause=cause)
            await self._publisher.publish([record, *tombstones])
