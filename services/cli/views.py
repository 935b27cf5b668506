"""How things look that models and other people wrote: text in boxes and tables, never control.

What comes from a server is shown as text only: an escape sequence in it must not reach the
terminal, and brackets are no markup.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_KEPT = "\n\t"


def harmless(text: str) -> str:
    """Return a text with every control character but line ends and tabs made visible."""
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def box(title: str, lines: Iterable[str], between: str = "\n") -> Panel:
    """Return lines under a title."""
    text = Text(between.join(map(harmless, lines)))
    return Panel(text, title=Text(harmless(title)), title_align="left")


def dialogue(title: str, turns: Iterable[tuple[str, str]]) -> Panel:
    """Return a conversation, given as (role, content) of each turn, under a title."""
    lines = [Text.assemble((f"{role}: ", "bold"), harmless(content)) for role, content in turns]
    return Panel(Text("\n").join(lines), title=Text(harmless(title)), title_align="left")


def listing(columns: Sequence[str], rows: Iterable[Sequence[object]], wide: str = "") -> Table:
    """Return a table.

    Args:
        columns: headings, those of numbers beginning with ">"; their cells are never cut, so that
            they can be copied.
        rows: what stands below them; whatever it is, a row takes one line.
        wide: heading of one more column, which takes the room that is left and is cut to it.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", expand=bool(wide))
    cells = [[cell(value) for value in row] for row in rows]
    for place, column in enumerate(columns):
        heading = column.removeprefix(">")
        width = max([len(heading), *(row[place].cell_len for row in cells)])
        table.add_column(
            heading,
            no_wrap=True,
            min_width=width,
            justify="right" if heading != column else "left",
        )
    if wide:
        table.add_column(wide, no_wrap=True, overflow="ellipsis", ratio=1)
    for row in cells:
        table.add_row(*row)
    return table


def cell(value: object) -> Text:
    """Return a value in one line."""
    shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return Text(" ".join(harmless(shown).split()))


def facts(rows: Sequence[tuple[str, object]]) -> Table:
    """Return names with their values, those without a value left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, value in rows:
        if value not in ("", None):
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            table.add_row(name, Text(harmless(shown)))
    return table


def moment(seconds: float) -> str:
    """Return a time since the epoch as UTC: `2026-11-25 18:08:50`; empty for 0."""
    if seconds <= 0:
        return ""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return ""
