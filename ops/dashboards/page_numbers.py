"""Numbers as a person reads them: with a unit, and rounded to what can be seen."""

import math

_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIMES = (
    (365 * 86400.0, "years"),
    (86400.0, "d"),
    (3600.0, "h"),
    (60.0, "min"),
    (1.0, "s"),
    (1e-3, "ms"),
    (1e-6, "µs"),
)
_CLOCK = (86400.0, 3600.0, 60.0)
"""Of which an axis of time has round numbers."""
_SUFFIXES = {"bytes": "B", "Bps": "B/s", "reqps": "/s"}


def told(value: float, unit: str) -> str:
    """Return a value in words, such as `1.5 k`, `12 ms` or `40 %`; unit: Grafana's id."""
    if unit == "percentunit":
        return f"{_short(value * 100)} %"
    if unit == "s":
        return _time(value)
    for size, letter in _LARGE:
        if abs(value) >= size:
            return f"{_short(value / size)} {letter}{_SUFFIXES.get(unit, '')}"
    return f"{_short(value)} {_SUFFIXES.get(unit, '')}".strip()


def ticks(low: float, high: float, unit: str, most: int = 4) -> list[float]:
    """Return round numbers from `low` to at least `high`, for an axis."""
    base = 1.0
    if unit == "s":
        base = next((size for size in _CLOCK if size < high - low), 1.0)
    span = max((high - low) / base, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(size for size in (1, 2, 2.5, 5, 10, 20) if span / (size * power) <= most)
    step *= power * base
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _short(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _time(seconds: float) -> str:
    if seconds == 0:
        return "0 s"
    for size, name in _TIMES:
        if abs(seconds) >= size:
            return f"{_short(seconds / size)} {name}"
    return f"{_short(seconds * 1e6)} µs"
