"""How long a process that died waits before it is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling pauses, which begin anew when a process was well for a while."""

    first_seconds: float = 0.2
    longest_seconds: float = 10.0
    healthy_seconds: float = 30.0
    """Ready for so long, a process counts as well: what ended it is a new trouble."""

    def after(self, last_seconds: float, ready_seconds: float) -> float:
        """Return the next pause.

        Args:
            last_seconds: the pause before the last start; 0 when there was none.
            ready_seconds: how long the process was ready after that start.
        """
        if last_seconds <= 0 or ready_seconds >= self.healthy_seconds:
            return self.first_seconds
        return min(last_seconds * 2, self.longest_seconds)
