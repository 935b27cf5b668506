"""The dashboards as one HTML file, for whoever has no Grafana.

python -m ops.dashboards.page --prometheus http://127.0.0.1:9090 --out . --minutes 60
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from ops.dashboards.catalogue import DASHBOARDS
from ops.dashboards.page_data import Prometheus, Series, Window
from ops.dashboards.page_numbers import told
from ops.dashboards.page_picture import COLOURS, HEIGHT, LEFT, Picture, colour_of, picture
from ops.dashboards.panels import Panel, Query
from services.runtime.errors import Rejected

FILE = "dashboards.html"
MAX_SERIES = 10
"""Of a panel, the largest now; the others are counted."""
_TEMPLATE = Path(__file__).parent / "page.html"


class Source(Protocol):
    """Where the series come from."""

    def series(self, query: Query, window: Window) -> list[Series]:
        """Return the curves of a query."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a legend."""

    name: str
    colour: int
    last: str
    most: str
    mood: str
    """Colour of the last value by the thresholds: red is bad."""
    share: int
    """Of the longest bar, in per cent."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A panel with its values."""

    panel: Panel
    legend: tuple[Entry, ...]
    picture: Picture | None
    left_out: int


def page(source: Source, window: Window) -> str:
    """Return the page of all dashboards over a time.

    Raises:
        Rejected: as the source.
    """
    return _template().render(
        dashboards=[
            {
                "name": dashboard.name,
                "title": dashboard.title,
                "description": dashboard.description,
                "rows": [
                    {
                        "title": row.title,
                        "panels": [_shown(panel, source, window) for panel in row.panels],
                    }
                    for row in dashboard.rows
                ],
            }
            for dashboard in DASHBOARDS
        ],
        start=time.strftime("%Y-%m-%d %H:%M", time.gmtime(window.start)),
        end=time.strftime("%H:%M", time.gmtime(window.end)),
        left=LEFT,
        height=HEIGHT,
    )


def _shown(panel: Panel, source: Source, window: Window) -> Shown:
    found = [each for query in panel.queries for each in source.series(query, window)]
    if panel.kind != "timeseries":
        # What ended before is no number of now.
        found = [each for each in found if each.points[-1][0] == window.end]
    largest = sorted(found, key=lambda each: -each.last)[:MAX_SERIES]
    series = largest if panel.kind == "bars" else [each for each in found if each in largest]
    longest = panel.maximum or max((each.last for each in series), default=1.0) or 1.0
    legend = tuple(
        Entry(
            each.name,
            number % COLOURS,
            told(each.last, panel.unit),
            told(max(value for _, value in each.points), panel.unit),
            colour_of(each.last, panel.thresholds),
            round(100 * min(1.0, max(0.0, each.last / longest))),
        )
        for number, each in enumerate(series)
    )
    drawn = picture(panel, series, window) if series and panel.kind == "timeseries" else None
    return Shown(panel, legend, drawn, len(found) - len(series))


def _with_code(text: str) -> Markup:
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["with_code"] = _with_code
    return environment.from_string(_TEMPLATE.read_text())


def main(arguments: Sequence[str]) -> int:
    """Write the page; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.dashboards.page", description=__doc__)
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="made if not there")
    parser.add_argument("--minutes", type=int, default=60, help="how far back (default: 60)")
    given = parser.parse_args(arguments)
    if given.minutes < 1:
        parser.error(f"--minutes {given.minutes}: give 1 or more")
    window = Window.last(given.minutes * 60, time.time())
    try:
        text = page(Prometheus(given.prometheus), window)
    except Rejected as error:
        print(error, file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / FILE).write_text(text)
    print(given.out / FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
