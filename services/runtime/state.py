"""Keyed state that lives in memory, and whose truth is a compacted topic (the changelog)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from services.runtime.ports import Delivery, Publisher, Record
from services.runtime.protobuf import Codec
from services.runtime.resting import RestingStates

S = TypeVar("S")


Watch = Callable[[str, S | None], None]
"""Is told of each new state, and with None that a key has none here any more."""


class Changelog(Generic[S]):
    """The latest state of every key that this process owns.

    A handler computes, writes one record that holds the new state *and the outputs of its step*,
    then publishes the outputs: a crash before the record means that nothing has happened, a crash
    after it means that the repeated input finds the outputs and publishes them again.

    With `awake` the states that were not used lately are packed; so many stay values.
    """

    def __init__(
        self, topic: str, codec: Codec[S], publisher: Publisher, awake: int | None = None
    ) -> None:
        self.topic = topic
        self._codec = codec
        self._publisher = publisher
        self._states = RestingStates(codec, awake)
        self._watches: list[Watch[S]] = []

    def watch(self, watch: Watch[S]) -> None:
        """Tell `watch` of each state that there is, and of each change from now on."""
        for key, state in self._states.items():
            watch(key, state)
        self._watches.append(watch)

    def _tell(self, key: str, state: S | None) -> None:
        for watch in self._watches:
            watch(key, state)

    def restore(self, history: Iterable[Delivery]) -> None:
        """Take over what the changelog holds, in the order it was written.

        Raises:
            Rejected: a record is not of this changelog's type.
        """
        for delivery in history:
            key = delivery.key
            if not delivery.value:
                if self._states.pop(key):
                    self._tell(key, None)
                continue
            if self._watches:
                self._tell(key, self._codec.decode(delivery.value))
            else:
                self._codec.check(delivery.value)
            self._states.put_resting(key, delivery.value)

    def get(self, key: str) -> S | None:
        """Return the state of a key, or None when there is none."""
        return self._states.get(key)

    def items(self) -> list[tuple[str, S]]:
        """Return all keys and their states, in order of key: costs as much as there is."""
        return sorted(self._states.items())

    def values(self) -> Iterator[S]:
        """Return all states, one after the other: costs as much as there is."""
        return (state for _, state in self._states.items())

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
        for key, state in states.items():
            self._states.put(key, state)
            self._tell(key, state)

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Drop the states of keys that are somebody else's now; the log keeps them."""
        for key in filter(gone, self._states.keys()):
            self._states.pop(key)
            self._tell(key, None)
