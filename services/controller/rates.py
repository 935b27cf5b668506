"""How fast datasets are filled."""

from collections import deque

_SIGNIFICANT = 3


class Rates:
    """Accepted samples an hour, over a sliding window of observations."""

    def __init__(self, window_seconds: float = 600.0) -> None:
        """Set up; a window is long enough that samples come one by one, and a change shows soon."""
        self._window = window_seconds
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def observe(self, uid: str, accepted: int, now: float) -> float | None:
        """Take in how many samples a dataset has, and return its rate; None at first.

        Args:
            uid: of the object.
            accepted: samples so far; fewer than before begins anew.
            now: seconds, of any clock that does not go back.

        Returns:
            Samples an hour, to three significant digits: a status that is patched is news to
            everybody who watches.
        """
        seen = self._seen.setdefault(uid, deque())
        if seen and (accepted < seen[-1][1] or now <= seen[-1][0]):
            seen.clear()
        seen.append((now, accepted))
        while len(seen) > 2 and seen[1][0] <= now - self._window:
            seen.popleft()
        if len(seen) < 2:
            return None
        (began, before), (ended, after) = seen[0], seen[-1]
        return float(f"{3600 * (after - before) / (ended - began):.{_SIGNIFICANT}g}")

    def forget(self, uid: str) -> None:
        """Let go of an object that is gone."""
        self._seen.pop(uid, None)
