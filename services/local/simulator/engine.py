"""The engine of one simulated server: calls come in, take their time, go wrong, and are counted."""

import asyncio
from functools import partial
from itertools import count
from random import Random

from services.local.simulator.call import Call
from services.local.simulator.faults import Fault, Faults
from services.local.simulator.kv_cache import KVCache
from services.local.simulator.loaded_clock import LoadedClock
from services.local.simulator.measurements import Measurements
from services.local.simulator.refusals import engine_failure, overloaded
from services.local.simulator.scheduler import Scheduler
from services.local.simulator.sequences import EngineSequence
from services.local.simulator.settings import SimulatorSettings

_REFUSALS = {Fault.ERROR_500: engine_failure, Fault.ERROR_503: overloaded}


class Engine:
    """Slots, queue, KV cache, time and faults; holds nothing of what is asked or answered.

    A sequence waits for a slot and for blocks, is prefilled, and then gets token after token:

        prefill = spread * (seconds_per_call + uncached prompt tokens * seconds_per_prompt_token)
        decode  = spread * (tokens - 1) * seconds_per_token * (1 + load_factor * running / slots)

    where the load is that of each moment. What is only read (embeddings, rewards) costs no
    `seconds_per_call`.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.in_flight = 0
        """Calls being worked on or waiting."""
        self.completed = 0
        """Calls that were answered in full, well or as garbage; refused ones do not count."""
        self.dead = False
        """Whether it has failed for good."""
        self.cache = (
            None if settings.kv_blocks is None else KVCache(settings.kv_blocks, settings.block_size)
        )
        self.clock = LoadedClock(settings.load_factor)
        self.measurements = Measurements(settings.max_model_len)
        self._settings = settings
        self._faults = Faults(settings)
        self._spread = Random(f"spread {settings.seed}")
        self._by_priority = settings.scheduling_policy == "priority"
        self._numbers = count()
        self._calls: dict[Call, None] = {}
        self._scheduler = Scheduler(settings.slots, self.cache, self._start)

    @property
    def slots(self) -> int:
        """How many sequences may run at once."""
        return self._scheduler.slots

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return self._scheduler.running

    @property
    def waiting(self) -> int:
        """Sequences in the queue."""
        return self._scheduler.waiting

    def arrive(self, sequences: int) -> Call:
        """Take in a call that will bring so many sequences; it ends with its `with` block.

        Raises:
            Refusal: the engine is dead, the queue is full, or the call's fault is an error.
        """
        if self.dead:
            raise engine_failure()
        bound = self._settings.waiting
        if bound is not None and self.running + self.waiting + sequences > self.slots + bound:
            self.measurements.rejections += 1
            raise overloaded()
        fault = self._faults.next()
        if fault in _REFUSALS:
            raise _REFUSALS[fault]()
        return Call(self, fault, self._drawn_spread())

    def resize(self, slots: int) -> None:
        """Let so many sequences run at once; where more do already, they run to their end.

        Raises:
            ValueError: it is less than one.
        """
        if slots < 1:
            raise ValueError(f"slots: expected 1 or more, got {slots}")
        self._scheduler.resize(slots)
        self._set_load()

    def kill(self) -> None:
        """Fail for good: all calls, and those to come, are answered with 500."""
        self.dead = True
        for call in list(self._calls):
            call.fail(engine_failure())

    def stop(self) -> None:
        """Let hanging calls end."""
        for call in list(self._calls):
            if call.fault is Fault.HANG:
                call.fail(overloaded())

    # What its calls tell it.

    def opened(self, call: Call) -> None:
        """Count a call that came in."""
        self.in_flight += 1
        self._calls[call] = None

    def enter(self, sequence: EngineSequence, priority: int) -> None:
        """Queue a sequence of a call, to be run as soon as possible."""
        sequence.key = (priority if self._by_priority else 0, next(self._numbers))
        sequence.arrived = asyncio.get_running_loop().time()
        self._scheduler.enter(sequence)
        self._set_load()

    def closed(self, call: Call, *, answered: bool) -> None:
        """Count the end of a call, and give back what it still holds."""
        del self._calls[call]
        self.in_flight -= 1
        for sequence in call.sequences:
            if not sequence.finished:
                if sequence.timer is not None:
                    sequence.timer.cancel()
                self._scheduler.leave(sequence, finished=False)
        self._set_load()
        if answered:
            self.completed += 1
            for first in range(0, len(call.sequences), call.choices):
                self.measurements.answered(call.sequences[first : first + call.choices])
            if self.completed == self._settings.dead_after:
                self.kill()

    def _start(self, sequence: EngineSequence) -> None:
        """Begin to work on a sequence that has got a slot."""
        sequence.admitted = now = asyncio.get_running_loop().time()
        if self.cache is not None and sequence.chain is not None:
            self.measurements.looked_up(sequence.prompt_tokens, sequence.cached_tokens)
        if sequence.hangs:
            sequence.progressed()
            return
        settings = self._settings
        computed = sequence.prompt_tokens - sequence.cached_tokens
        prefill = computed * settings.seconds_per_prompt_token
        if sequence.output:
            prefill += settings.seconds_per_call
        prefill *= sequence.spread
        sequence.first_token = now + prefill
        if settings.load_factor and prefill > 0:
            # The prefill takes its time whatever the load, so when it ends on the loaded clock
            # is known only then.
            loop = asyncio.get_running_loop()
            sequence.timer = loop.call_later(prefill, self._prefilled, sequence)
        else:
            self._decode(sequence, prefill)

    def _prefilled(self, sequence: EngineSequence) -> None:
        self._decode(sequence, 0.0)
        self._set_load()

    def _decode(self, sequence: EngineSequence, prefill: float) -> None:
        sequence.first_due = self.clock.time() + prefill
        seconds = prefill + max(0, len(sequence.output) - 1) * self.pace(sequence.spread)
        if seconds > 0:
            sequence.timer = self.clock.call_later(seconds, partial(self._finish, sequence))
        else:
            self._finish(sequence)
        sequence.progressed()

    def pace(self, spread: float) -> float:
        """Return the seconds between two tokens on an idle server."""
        return self._settings.seconds_per_token * spread

    def _finish(self, sequence: EngineSequence) -> None:
        self._scheduler.leave(sequence, finished=True)
        self._set_load()
        self.measurements.finished(sequence, asyncio.get_running_loop().time())
        sequence.progressed()

    def _set_load(self) -> None:
        if self._settings.load_factor:
            self.clock.set_load(min(1.0, self.running / self.slots))

    def _drawn_spread(self) -> float:
        sigma = self._settings.spread
        return self._spread.lognormvariate(-sigma * sigma / 2, sigma) if sigma else 1.0
