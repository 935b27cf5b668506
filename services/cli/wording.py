"""Numbers as people read them."""

from collections import Counter


def duration(seconds: float) -> str:
    """Return about how long something takes: `50 s`, `4 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def clock(seconds: float) -> str:
    """Return a time that passed: `0:50`, `2:05:09`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def counted(count: int, noun: str) -> str:
    """Return a number of things: `1 step`, `1,200 steps`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def tally(counts: Counter[str], most: int = 6) -> str:
    """Return the commonest counts: `12 reward_quantile, 3 repetitive`; empty when there is none."""
    shown = counts.most_common(most)
    rest = counts.total() - sum(count for _, count in shown)
    parts = [f"{count:,} {name}" for name, count in shown if count]
    return ", ".join([*parts, f"{rest:,} others"] if rest else parts)


def malformed(counts: Counter[str]) -> str:
    """Return how many answers did not have the form asked for, and in which stages."""
    if not counts:
        return "none"
    return f"{counted(counts.total(), 'answer')} without the form asked for: {tally(counts)}"
