"""Foreign text on a terminal: it is text, whatever is in it."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from services.cli.views import box, cell, dialogue, facts, harmless, listing, moment

EVIL = "a\x1b]0;owned\x07b\x9b31m\r\x08\u202e[bold]c"


def shown(what: RenderableType, width: int = 80) -> str:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


@given(st.text())
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    left = {unicodedata.category(each) for each in harmless(text) if each not in "\n\t"}
    assert not left & {"Cc", "Cf", "Cs"}
    if text.isprintable():
        assert harmless(text) == text


def test_every_view_is_harmless_and_takes_brackets_literally() -> None:
    views = (
        box(EVIL, [EVIL]),
        dialogue(EVIL, [("user", EVIL)]),
        facts([("name", EVIL)]),
        listing(["id"], [[EVIL, EVIL]], wide="who"),
        cell(EVIL),
    )
    for view in views:
        text = shown(view, 200)
        assert not set(text) & set("\x1b\x07\x9b\r\x08\u202e")
        assert "[bold]c" in text


def test_only_the_wide_column_is_cut() -> None:
    row = ("4bf9c2a6-64b9-5d1e-9c5b-0f5a4d1f7a11", 12345, "long " * 40)
    lines = shown(listing(["id", ">count"], [row], wide="text"), 60).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("4bf9c2a6-64b9-5d1e-9c5b-0f5a4d1f7a11  12,345  long")
    assert lines[1].endswith("…")


def test_facts_without_a_value_are_left_out() -> None:
    assert shown(facts([("a", ""), ("b", 0), ("c", None)])).split() == ["b", "0"]


def test_a_time_that_is_not_known_or_absurd_is_empty() -> None:
    assert moment(1795631822.006) == "2026-11-25 18:37:02"
    assert [moment(each) for each in (0.0, -5.0, 1e300, float("inf"), float("nan"))] == [""] * 5
