"""Which calls go wrong, and how: decided by the number of the call, so that retries differ."""

from enum import Enum
from random import Random

from services.local.simulator.settings import SimulatorSettings

GARBAGE = b'<html><body><h1>upstream connect error</h1></body></html>{"choices": ['


class Fault(Enum):
    """How a call goes wrong."""

    ERROR_500 = "error_500"
    ERROR_503 = "error_503"
    GARBAGE = "garbage"
    TRUNCATED = "truncated"
    CUT = "cut"
    HANG = "hang"


class Faults:
    """Draws the faults of a server, call by call, from its seed."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._rates = [(fault, getattr(settings, fault.value)) for fault in Fault]
        self._some = any(rate for _, rate in self._rates)
        self._random = Random(settings.seed)

    def next(self) -> Fault | None:
        """Return the fault of the next call, if it has one."""
        if not self._some:
            return None
        left = self._random.random()
        for fault, rate in self._rates:
            left -= rate
            if left < 0:
                return fault
        return None
