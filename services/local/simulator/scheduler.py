"""Which sequences run: as many as there are slots and room in the KV cache, the others wait."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from services.local.simulator.kv_cache import KVCache, extended
from services.local.simulator.sequences import EngineSequence

_FEWEST_TO_SWEEP = 64


class Scheduler:
    """A queue in front of a batch.

    The first in the queue is the one with the lowest key; while there is no room for it, nobody
    overtakes it. Sequences that run are never stopped for others.
    """

    def __init__(
        self, slots: int, cache: KVCache | None, start: Callable[[EngineSequence], None]
    ) -> None:
        """Start with an empty queue.

        Args:
            slots: how many sequences may run.
            cache: where they keep what they have computed; None if that takes no room.
            start: told of each sequence that begins to run; it may come to its end at once, which
                `leave` is told of.
        """
        self.running = 0
        self.waiting = 0
        self._slots = slots
        self._cache = cache
        self._start = start
        self._queue: list[tuple[tuple[int, int], EngineSequence]] = []
        """A heap, with those that went away before their turn."""
        self._admitting = False

    @property
    def slots(self) -> int:
        """How many sequences may run."""
        return self._slots

    def resize(self, slots: int) -> None:
        """Let `slots` sequences run; where more do already, they run to their end."""
        self._slots = slots
        self._admit()

    def enter(self, sequence: EngineSequence) -> None:
        """Take `sequence` into the queue, or let it run; its key is that of no other one."""
        heappush(self._queue, (sequence.key, sequence))
        self.waiting += 1
        self._admit()

    def leave(self, sequence: EngineSequence, *, finished: bool) -> None:
        """Let `sequence` go, which has `finished` or is given up, from the queue or the batch."""
        if sequence.admitted is None:
            self.waiting -= 1
            sequence.finished = True
            self._sweep()
        else:
            self.running -= 1
            sequence.finished = True
            self._free(sequence, finished)
        self._admit()

    def _free(self, sequence: EngineSequence, finished: bool) -> None:
        cache, allocation, chain = self._cache, sequence.allocation, sequence.chain
        if cache is None or allocation is None or chain is None:
            return
        written: tuple[int, ...] = ()
        if finished and sequence.output:
            written = extended(chain, sequence.output, cache.block_size).hashes
        cache.free(allocation, written)

    def _admit(self) -> None:
        if self._admitting:
            return  # a sequence that ended as soon as it began: the loop below goes on
        self._admitting = True
        try:
            while self.running < self._slots and self._queue:
                sequence = self._queue[0][1]
                if not sequence.finished:
                    if not self._allocated(sequence):
                        return
                    self.waiting -= 1
                    self.running += 1
                heappop(self._queue)
                if not sequence.finished:
                    self._start(sequence)
        finally:
            self._admitting = False

    def _allocated(self, sequence: EngineSequence) -> bool:
        if self._cache is None or sequence.chain is None:
            return True
        sequence.allocation = self._cache.allocate(
            sequence.chain.hashes,
            sequence.prompt_tokens,
            sequence.prompt_tokens + len(sequence.output),
            reads=sequence.reads_cache,
        )
        return sequence.allocation is not None

    def _sweep(self) -> None:
        """Drop those that went away, once they are the most: a queue may never move on."""
        if len(self._queue) > max(_FEWEST_TO_SWEEP, 2 * self.waiting):
            self._queue = [entry for entry in self._queue if not entry[1].finished]
            heapify(self._queue)
