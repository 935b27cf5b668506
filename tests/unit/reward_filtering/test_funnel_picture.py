"""The picture of a funnel: it says what the counts say, in any theme, whatever the names are."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.funnel_picture import MAX_REASONS, funnel_picture, one_line
from services.reward_filtering.report_facts import Stage

SVG = "{http://www.w3.org/2000/svg}"
SHAPES = {"svg", "title", "desc", "style", "rect", "text", "tspan", "line", "polygon"}
HOSTILE = "</text><script>alert(1)</script>](http://x.example) <b onload='x'>&amp;"
FUNNEL = (
    Stage("static", 200, (("near_duplicate", 60), ("pii", 40))),
    Stage("response", 100, ()),
    Stage("quota", 100, (("quota_full", 50),)),
)


def drawn(funnel: Sequence[Stage], dataset: str = "chat") -> ElementTree.Element:
    return ElementTree.fromstring(funnel_picture(dataset, funnel))


def texts(picture: ElementTree.Element) -> list[str]:
    return ["".join(each.itertext()) for each in picture.iter(f"{SVG}text")]


def widths(picture: ElementTree.Element, kind: str) -> list[tuple[float, float]]:
    """Of each polygon of a class: its width at the top, and at the bottom."""
    found = []
    for polygon in picture.iter(f"{SVG}polygon"):
        if polygon.get("class") == kind:
            xs = [float(corner.split(",")[0]) for corner in polygon.get("points", "").split()]
            found.append((xs[1] - xs[0], xs[2] - xs[3]))
    return found


def test_a_picture_tells_each_stage_and_reason_in_order() -> None:
    assert texts(drawn(FUNNEL)) == [
        "Filter funnel",
        "chat",
        "candidates",
        "200",
        "static",
        "100 go on, −100",  # noqa: RUF001
        "60 near_duplicate",
        "40 pii",
        "response",
        "100 go on",
        "quota",
        "50 go on, −50",  # noqa: RUF001
        "50 quota_full",
        "accepted",
        "50 (25.0%)",
    ]


def test_widths_are_shares_of_all_candidates() -> None:
    picture = drawn(FUNNEL)
    assert widths(picture, "passed") == [(280, 280), (280, 140), (140, 140), (140, 70), (70, 70)]
    assert widths(picture, "refused") == [(280, 280), (140, 140), (140, 140)]


def test_few_of_many_are_seen_and_nothing_is_not() -> None:
    few = drawn((Stage("static", 10**6, (("pii", 10**6 - 1),)),))
    assert widths(few, "passed")[-1] == (2, 2)
    none = drawn((Stage("static", 5, (("pii", 5),)),))
    assert widths(none, "passed")[-1] == (0, 0)


def test_reasons_that_there_is_no_room_for_are_summed_up() -> None:
    reasons = tuple((f"reason_{n}", 10 - n) for n in range(MAX_REASONS + 2))
    picture = drawn((Stage("static", 100, reasons),))
    assert "11 for 2 other reasons" in texts(picture)
    assert f"7 reason_{MAX_REASONS - 1}" in texts(picture)
    assert not any(f"reason_{MAX_REASONS}" in text for text in texts(picture))
    # The row below begins where the last line ends.
    lines = [float(t.get("y", "")) for t in picture.iter(f"{SVG}text")]
    assert lines[-2] > max(lines[:-2])


def assert_harmless(source: str) -> ElementTree.Element:
    picture = ElementTree.fromstring(source)
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} <= SHAPES
    names = {name for element in picture.iter() for name in element.attrib}
    assert not {name for name in names if name.startswith("on") or "href" in name}
    style = picture.findtext(f"{SVG}style") or ""
    assert "url(" not in style
    assert "@import" not in style
    assert "<!" not in source
    return picture


def test_names_are_text_and_never_markup() -> None:
    funnel = (Stage(HOSTILE, 9, ((HOSTILE, 4),)),)
    picture = assert_harmless(funnel_picture(HOSTILE, funnel))
    assert texts(picture)[1] == one_line(HOSTILE, 64)
    assert (picture.findtext(f"{SVG}title") or "").endswith(one_line(HOSTILE, 64))
    assert "<script" not in funnel_picture(HOSTILE, funnel)


NAMES = st.text(st.sampled_from("<>&'\"]()\x00\ufffe\uffff\u202e\ud800\n\t a") | st.characters())


@given(NAMES, NAMES, NAMES, st.integers(0, 40), st.integers(1, 60))
def test_any_names_and_counts_make_a_picture_that_can_be_read(
    dataset: str, stage: str, reason: str, refused: int, left: int
) -> None:
    funnel = (
        Stage(stage, refused + left, ((reason, refused),) if refused else ()),
        Stage("quota", left, ()),
    )
    picture = assert_harmless(funnel_picture(dataset, funnel).encode("utf-8").decode("utf-8"))
    assert texts(picture)[1] == one_line(dataset, 64)
    numbers = [text.split()[0] for text in texts(picture)[-5:]]
    assert numbers[-1] == f"{left:,}"
    assert all(top >= bottom for top, bottom in widths(picture, "passed"))


@given(NAMES, st.integers(1, 30))
def test_one_line_is_short_and_printable(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, two: str) -> float:
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_and_funnel_stand_out_in_both_themes(theme: str) -> None:
    style = drawn(FUNNEL).findtext(f"{SVG}style") or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    fills = dict(re.findall(r"([.\w]+) \{[^}]*fill: (#\w{6})", light if theme == "light" else dark))
    ground = fills.pop(".ground")
    assert fills.keys() == {"text", ".soft", ".lost", ".passed", ".refused"}
    # WCAG 2.2: 4.5 for text (1.4.3), 3 for what a picture is made of (1.4.11).
    assert all(contrast(fills[name], ground) >= 4.5 for name in ("text", ".soft", ".lost"))
    assert contrast(fills[".passed"], ground) >= 3
    assert contrast(fills[".passed"], fills[".refused"]) >= 3
