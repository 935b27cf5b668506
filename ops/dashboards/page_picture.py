"""Curves as SVG that stands inside a page; colours and letters are the page's."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ops.dashboards.page_data import Series, Window
from ops.dashboards.page_numbers import ticks, told
from ops.dashboards.panels import Panel, Threshold

COLOURS = 10
"""Classes c0 to c9 of the page; further series begin anew."""
_COLUMN, HEIGHT = 75, 200
"""Units of a column of the grid, so that letters have one size on all panels."""
LEFT = 70
_RIGHT, _TOP, _BOTTOM = 12, 8, 32


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the picture with its name."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A series in the picture's units."""

    colour: int
    path: str
    """Commands of SVG."""
    area: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """A threshold."""

    at: int
    colour: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What the template draws."""

    width: int
    right: int
    """Where the lines across end."""
    curves: tuple[Curve, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    limits: tuple[Limit, ...]


def picture(panel: Panel, series: Sequence[Series], window: Window) -> Picture:
    """Draw the series of a panel, at least one; the first gets the first colour."""
    lines = _stacked(series, window) if panel.stacked else [(each, None) for each in series]
    values = [value for line, _ in lines for _, value in line.points]
    width = panel.width * _COLUMN
    right = width - _RIGHT
    low, high = min(0.0, *values), max(0.0, *values)
    if panel.maximum is not None:
        high = max(high, panel.maximum)
    # A threshold far above all that happens would press the curves flat.
    near = [t.start for t in panel.thresholds if t.start is not None and t.start <= high * 2]
    high = max([high, *near]) or 1.0
    rows = ticks(low, high, panel.unit)
    bottom, top = rows[0], rows[-1]

    def y(value: float) -> int:
        return round(
            HEIGHT - _BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - _BOTTOM - _TOP)
        )

    def x(at: int) -> int:
        share = (at - window.start) / (window.end - window.start)
        return round(LEFT + share * (right - LEFT))

    curves = []
    for number, (line, below) in enumerate(lines):
        parts = _parts(line.points, window.step)
        path = "".join(_path([(x(at), y(value)) for at, value in part]) for part in parts)
        curves.append(Curve(number % COLOURS, path, area=False))
        if below is not None:
            edge = [(x(at), y(value)) for at, value in line.points]
            edge += [(x(at), y(below[at])) for at, _ in reversed(line.points)]
            curves.append(Curve(number % COLOURS, _path(edge) + "z", area=True))
    return Picture(
        width,
        right,
        tuple(reversed(curves)),
        tuple(Tick(y(value), told(value, panel.unit)) for value in rows),
        tuple(Tick(x(at), _clock(at, window)) for at in _times(window)),
        tuple(
            Limit(y(limit.start), limit.colour)
            for limit in panel.thresholds
            if limit.start is not None and bottom < limit.start <= top
        ),
    )


def colour_of(value: float, thresholds: Sequence[Threshold]) -> str:
    """Return the colour of a value, empty without thresholds."""
    colour = ""
    for step in thresholds:
        if step.start is None or value >= step.start:
            colour = step.colour
    return colour


def _stacked(series: Sequence[Series], window: Window) -> list[tuple[Series, dict[int, float]]]:
    ground = dict.fromkeys(range(window.start, window.end + 1, window.step), 0.0)
    stacked = []
    for each in series:
        own, below = dict(each.points), dict(ground)
        ground = {at: value + own.get(at, 0.0) for at, value in ground.items()}
        points = tuple(ground.items())
        stacked.append((Series(each.name, points), below))
    return stacked


def _parts(points: Sequence[tuple[int, float]], step: int) -> list[list[tuple[int, float]]]:
    """Split at gaps, where a value is missing."""
    parts: list[list[tuple[int, float]]] = []
    for point in points:
        if parts and point[0] - parts[-1][-1][0] <= step * 1.5:
            parts[-1].append(point)
        else:
            parts.append([point])
    return parts


def _path(points: Sequence[tuple[int, int]]) -> str:
    # A point alone is a line of no length, which round ends make a dot.
    start, *others = points
    return f"M{start[0]} {start[1]}" + ("".join(f"L{x} {y}" for x, y in others) or "h0")


def _times(window: Window) -> list[int]:
    length = window.end - window.start
    sizes = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 7 * 86400)
    size = next((size for size in sizes if length / size <= 6), sizes[-1])
    return list(range(-(-window.start // size) * size, window.end + 1, size))


def _clock(at: int, window: Window) -> str:
    form = "%H:%M" if window.end - window.start <= 2 * 86400 else "%d %b"
    return time.strftime(form, time.gmtime(at))
