"""States in memory: those in use as values, all others packed.

An agent with its memories is a hundred Python objects, and nearly all agents rest. Packed, as its
record in the log and compressed, a state takes a third of that; who needs it unpacks it.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

import pyarrow as pa

from services.runtime.protobuf import Codec

S = TypeVar("S")

_COMPRESSION = pa.Codec("zstd", 1)
_SIZE_BYTES = 4

AWAKE_GROUPS = 1024
"""Groups whose state a service keeps unpacked, 15 to 25 KB each: about 5,000 agents, more than keep
a large server busy. A step of a group beyond them takes half as long again."""


class RestingStates(Generic[S]):
    """States by key. With `awake` so many at most are values: those that were used last."""

    def __init__(self, codec: Codec[S], awake: int | None) -> None:
        self._codec = codec
        self._most = awake
        self._awake: OrderedDict[str, S] = OrderedDict()
        self._resting: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._awake) + len(self._resting)

    def __contains__(self, key: str) -> bool:
        return key in self._awake or key in self._resting

    def get(self, key: str) -> S | None:
        """Return the state of a key, which is in use from now on; None when there is none."""
        state = self._awake.get(key)
        if state is not None:
            self._awake.move_to_end(key)
            return state
        packed = self._resting.get(key)
        if packed is None:
            return None
        state = self._unpacked(packed)
        self.put(key, state)
        return state

    def put(self, key: str, state: S) -> None:
        """Keep the state of a key, which is in use from now on."""
        self._resting.pop(key, None)
        self._awake[key] = state
        self._awake.move_to_end(key)
        if self._most is not None and len(self._awake) > self._most:
            oldest, left = self._awake.popitem(last=False)
            self._resting[oldest] = _packed(self._codec.encode(left))

    def put_resting(self, key: str, data: bytes) -> None:
        """Keep the state of a key that nobody uses now, given as the codec encodes it."""
        if self._most is None:
            self._awake[key] = self._codec.decode(data)
        else:
            self._awake.pop(key, None)
            self._resting[key] = _packed(data)

    def pop(self, key: str) -> bool:
        """Drop a key; False when there is none."""
        return self._awake.pop(key, None) is not None or self._resting.pop(key, None) is not None

    def keys(self) -> list[str]:
        """Return all keys."""
        return [*self._awake, *self._resting]

    def items(self) -> Iterator[tuple[str, S]]:
        """Return all keys and states; unpacks one after the other, and leaves them at rest."""
        for key in self.keys():
            state = self._awake.get(key)
            if state is not None:
                yield key, state
            elif key in self._resting:
                yield key, self._unpacked(self._resting[key])

    def _unpacked(self, packed: bytes) -> S:
        size = int.from_bytes(packed[:_SIZE_BYTES], "little")
        return self._codec.decode(_COMPRESSION.decompress(packed[_SIZE_BYTES:], size, asbytes=True))


def _packed(data: bytes) -> bytes:
    packed: bytes = _COMPRESSION.compress(data, asbytes=True)
    return len(data).to_bytes(_SIZE_BYTES, "little") + packed
