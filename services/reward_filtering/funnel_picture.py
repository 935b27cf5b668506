"""The filter funnel as a picture: one SVG file that needs nothing else, no script and no network.

It brings its own ground and follows the reader's light or dark theme, so that it can be read
wherever a card is shown. Names are text here, never markup: the template escapes every value, and
characters that XML forbids or nobody can see are replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from services.reward_filtering.report_facts import Stage

WIDTH = 720.0
MAX_REASONS = 4
"""Of a stage, those most frequent; the others are summed up."""
MAX_NAME = 22
MAX_REASON = 24
MAX_DATASET = 64
"""Characters that there is room for."""

_TOP, _BOTTOM = 60.0, 16.0
_ROW, _LINE = 40.0, 15.0
"""Height of a row, and of each line below its first two."""
_MIDDLE, _HALF = 320.0, 140.0
"""Of the funnel: its axis, and half of its greatest width."""
_THINNEST = 1.0
"""Half of the width of what is not nothing."""
_TEMPLATE = Path(__file__).parent / "pages" / "funnel.svg"


@dataclass(frozen=True, slots=True)
class Row:
    """A stage, or an end of the funnel, in the picture's units."""

    name: str
    count: str
    refused: str
    """Empty when there is none."""
    reasons: tuple[str, ...]
    top: float
    height: float
    ground: str
    """Corners of what comes in, as `points`; empty of an end."""
    passed: str
    """Corners of what goes on."""


def funnel_picture(dataset: str, funnel: Sequence[Stage]) -> str:
    """Draw the funnel of a dataset.

    Args:
        dataset: Its name.
        funnel: Its stages, at least one; the first is entered by at least one candidate.
    """
    rows = _rows(funnel)
    return _template().render(
        dataset=one_line(dataset, MAX_DATASET),
        candidates=funnel[0].entered,
        accepted=funnel[-1].left,
        rows=rows,
        width=WIDTH,
        height=rows[-1].top + rows[-1].height + _BOTTOM,
        line=_LINE,
    )


def one_line(text: str, limit: int) -> str:
    """Return a text in one line of at most `limit` characters, all of which can be seen."""
    line = " ".join(text.split())
    line = line if len(line) <= limit else f"{line[: limit - 1]}…"
    return "".join(character if character.isprintable() else "\ufffd" for character in line)


def _rows(funnel: Sequence[Stage]) -> list[Row]:
    whole, accepted = funnel[0].entered, funnel[-1].left
    rows = [_end("candidates", f"{whole:,}", _half(whole, whole), _TOP)]
    for stage in funnel:
        top, reasons = rows[-1].top + rows[-1].height, _reasons(stage)
        height = _ROW + _LINE * max(0, len(reasons) - 1)
        wide, narrow = _half(stage.entered, whole), _half(stage.left, whole)
        rows.append(
            Row(
                name=one_line(stage.name, MAX_NAME),
                count=f"{stage.left:,} go on",
                refused=f"{stage.refused:,}" if stage.refused else "",
                reasons=reasons,
                top=top,
                height=height,
                ground=_corners(wide, wide, top, height),
                passed=_corners(wide, narrow, top, height),
            )
        )
    told = f"{accepted:,} ({accepted / whole:.1%})"
    return [*rows, _end("accepted", told, _half(accepted, whole), rows[-1].top + rows[-1].height)]


def _end(name: str, count: str, half: float, top: float) -> Row:
    return Row(name, count, "", (), top, _ROW, "", _corners(half, half, top, _ROW))


def _reasons(stage: Stage) -> tuple[str, ...]:
    shown = [f"{count:,} {one_line(name, MAX_REASON)}" for name, count in stage.reasons]
    if others := stage.reasons[MAX_REASONS:]:
        left = sum(count for _, count in others)
        plural = "s" if len(others) > 1 else ""
        shown[MAX_REASONS:] = [f"{left:,} for {len(others)} other reason{plural}"]
    return tuple(shown)


def _half(count: int, whole: int) -> float:
    return max(_THINNEST, _HALF * count / whole) if count else 0.0


def _corners(above: float, below: float, top: float, height: float) -> str:
    corners = ((-above, 0.0), (above, 0.0), (below, height), (-below, height))
    return " ".join(f"{_MIDDLE + x:.1f},{top + y:.1f}" for x, y in corners)


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
