"""Keyed state that lives in memory, and whose truth is a compacted topic (the changelog)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from services.runtime.ports import Delivery, Publisher, Record
from services.runtime.protobuf import Codec

S = TypeVar("S")


def _nobody(key: str, state: object) -> None:
    """Watches nothing."""


class Changelog(Generic[S]):
    """The latest state of every key that this process owns.

    A handler computes, writes one record that holds the new state *and the outputs of its step*,
    then publishes the outputs: a crash before the record means that nothing has happened, a crash
    after it means that the repeated input finds the outputs and publishes them again.
    """

    def __init__(self, topic: str, codec: Codec[S], publisher: Publisher) -> None:
        self.topic = topic
        self._codec = codec
        self._publisher = publisher
        self._states: dict[str, S] = {}
        self.watch: Callable[[str, S | None], None] = _nobody
        """Is told of each new state, and with None that a key has none here any more."""

    def restore(self, history: Iterable[Delivery]) -> None:
        """Take over what the changelog holds, in the order it was written.

        Raises:
            Rejected: a record is not of this changelog's type.
        """
        for delivery in history:
            if delivery.value:
                self._states[delivery.key] = state = self._codec.decode(delivery.value)
                self.watch(delivery.key, state)
            elif self._states.pop(delivery.key, None) is not None:
                self.watch(delivery.key, None)

    def get(self, key: str) -> S | None:
        """Return the state of a key, or None when there is none."""
        return self._states.get(key)

    def items(self) -> list[tuple[str, S]]:
        """Return all keys and their states, in order of key."""
        return sorted(self._states.items())

    def values(self) -> Iterable[S]:
        """Return all states."""
        return self._states.values()

    def __len__(self) -> int:
        return len(self._states)

    async def put(self, key: str, state: S, partition_key: str = "") -> None:
        """Write the state of a key; in memory it takes effect when the record is durable.

        Args:
            key: of the state.
            state: the new one.
            partition_key: decides the partition; the key itself when empty.
        """
        await self.put_all({key: state}, partition_key)

    async def put_all(self, states: Mapping[str, S], partition_key: str = "") -> None:
        """Write the states of several keys; in memory all take effect, or none does."""
        await self._publisher.publish(
            [
                Record(self.topic, key, self._codec.encode(state), partition_key=partition_key)
                for key, state in states.items()
            ]
        )
        self._states.update(states)
        for key, state in states.items():
            self.watch(key, state)

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Drop the states of keys that are somebody else's now; the log keeps them."""
        for key in [key for key in self._states if gone(key)]:
            del self._states[key]
            self.watch(key, None)
