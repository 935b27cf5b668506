"""The page of a report: one HTML file that needs nothing else, no script and no network.

What models wrote is text here, never markup: the template escapes every value, characters that
nobody can see are named, and the page's own policy forbids scripts and loading.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from services.reward_filtering.histograms import Histogram
from services.reward_filtering.report_facts import Report, Stage

MARKER = '<meta name="generator" content="matrix datasets report">'
"""Stands in every page, so that no other file is replaced by one."""
MAX_MESSAGE = 1_500
MAX_MESSAGES = 8
MAX_ROWS = 24
MAX_REASONS = 6
WIDTH, PANEL, GAP, LEFT, FOOT = 400.0, 70.0, 18.0, 40.0, 22.0
"""Of a histogram's picture: two panels, one above the other, over one axis."""
TICKS = 6

_TEMPLATE = Path(__file__).parent / "pages" / "report.html"
_KEPT = "\n\t"
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
_WHAT_STAGES_ASK = {
    "static": "form, length, language, personal data, benchmarks, near duplicates",
    "response": "reward, refusals, length and form of the response",
    "verifiable": "answer agreed on or tests passed; success rate of the student",
    "rip": "reward and length of the rejected, gap (R.I.P.)",
    "margin": "gap and length ratio of the pair",
    "quota": "room that is left in the stratum",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a picture, in its units."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Panel:
    """The bars of one of two distributions."""

    name: str
    top: float
    most: int
    """What the highest bar counts."""
    median: float | None
    median_x: float
    bars: tuple[Bar, ...]


def page(report: Report) -> str:
    """Write the page of a report."""
    return _template().render(
        report=report,
        marker=Markup(MARKER),
        asks=_WHAT_STAGES_ASK,
        share=share,
        number=number,
        panels=panels,
        ticks=ticks,
        slope=slope,
        clipped=clipped,
        whole=WIDTH,
        left=LEFT,
        panel=PANEL,
        base=2 * PANEL + GAP,
        height=2 * PANEL + GAP + FOOT,
        max_messages=MAX_MESSAGES,
        max_rows=MAX_ROWS,
        max_reasons=MAX_REASONS,
    )


def visible(value: object) -> object:
    """Return a text with its controls, direction marks and zero-width characters by name.

    Left as they are: line ends and tabs, and joiners between letters or signs that are not ASCII,
    which scripts such as Persian's and emoji need.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    text = value.replace("\r\n", "\n")
    around = zip(f"\n{text}", text, f"{text[1:]}\n", strict=False)
    return "".join(_named(*each) for each in around)


def _named(before: str, character: str, after: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _UNSEEN:
        return character
    if character in _JOINERS and all(c.isprintable() and not c.isascii() for c in (before, after)):
        return character
    return f"\u27e8U+{ord(character):04X}\u27e9"


def clipped(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return a text of at most `limit` characters and a note of how many more there are."""
    left = len(text) - limit
    return text if left <= 0 else f"{text[:limit]}\n[{left:,} more characters]"


def share(part: int, whole: int) -> str:
    """Return a share in percent; a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "\u2013"


def number(value: float) -> str:
    """Return a number with four digits that count, without an exponent where that is short."""
    if value == int(value) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def slope(stage: Stage, candidates: int) -> str:
    """Return the outline of a stage of the funnel, in a square of 100: wide in, narrow out."""
    above, below = (50 * count / candidates for count in (stage.entered, stage.left))
    corners = ((50 - above, 0), (50 + above, 0), (50 + below, 100), (50 - below, 100))
    return " ".join(f"{x:.2f},{y}" for x, y in corners)


def panels(histogram: Histogram) -> tuple[Panel, Panel]:
    """Place the bars of a histogram: accepted above, rejected below, each by its own highest."""
    upper = _panel("accepted", 0.0, histogram.accepted, histogram.medians[0], histogram)
    lower = _panel("rejected", PANEL + GAP, histogram.rejected, histogram.medians[1], histogram)
    return upper, lower


def _panel(
    name: str, top: float, counts: Sequence[int], median: float | None, histogram: Histogram
) -> Panel:
    most, edges = max(counts), histogram.edges
    bars = []
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        if count:
            x, height = _place(low, edges), PANEL * count / most
            title = f"{number(low)} to {number(high)}: {count:,} {name}"
            bars.append(
                Bar(x + 0.5, top + PANEL - height, _place(high, edges) - x - 1, height, title)
            )
    return Panel(name, top, most, median, _place(median or 0.0, edges), tuple(bars))


def ticks(histogram: Histogram) -> list[tuple[float, str]]:
    """Return where the axis of a histogram has numbers, and which."""
    edges = histogram.edges
    every = -(-len(edges) // TICKS)
    return [(_place(edge, edges), number(round(edge, 9))) for edge in edges[::every]]


def _place(value: float, edges: Sequence[float]) -> float:
    inside = min(max(value, edges[0]), edges[-1])
    return LEFT + (WIDTH - LEFT) * (inside - edges[0]) / (edges[-1] - edges[0])


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
