"""The page of a report: well formed, complete in itself, and what models wrote is text in it."""

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.histograms import histogram
from services.reward_filtering.report import report_of
from services.reward_filtering.report_facts import Report, Stage
from services.reward_filtering.report_page import (
    LEFT,
    MARKER,
    MAX_MESSAGE,
    PANEL,
    WIDTH,
    page,
    panels,
    slope,
    ticks,
    visible,
)
from tests.unit.reward_filtering.test_report import candidate, table

HOSTILE = (
    "</script></style></title><script>alert(1)</script><img src=x onerror=alert(1)>"
    "\"' onload='x' {{ 7 * 7 }} {% raw %} &lt; \u202eevil\u2066\u200b\u200d\ufeff\x00\x1b]0;x\x07"
)
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Reads a page, and fails at tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.counts: dict[str, list[int]] = {}
        self._open: list[str] = []
        self._counted = ""
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._counted = dict(attrs).get("data-count") or ""
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._counted:
            digits = "".join(filter(str.isdigit, data))
            self.counts.setdefault(self._counted, []).append(int(digits))
            self._counted = ""


def report_with(text: str) -> Report:
    """A report in which every text is `text`."""
    said = [{"role": role, "content": text} for role in ("user", "assistant", text)]
    asked = {"id": text, "category": text, "complexity": 3, "style": text, "text": text}
    change: dict[str, Any] = {
        "kind": text,
        "stratum": text,
        "messages": said,
        "requirement": asked,
        "student_responses": [{"text": text, "reward": 0.0, "outcome": text}],
        "scores": [{"name": text, "value": 0.5}],
        **dict.fromkeys(("instruction_model", "response_model", "student_model"), text),
    }
    refused = candidate(2, text or "static", text or "pii", **change)
    return report_of(text, table(candidate(1, **change)), table(refused))


def plain() -> Report:
    refused = [candidate(20 + i, "response", "refusal") for i in range(5)]
    more = [candidate(40 + i, "quota", "quota_full") for i in range(2)]
    return report_of("pairs", table(*map(candidate, range(12))), table(*refused, *more))


def test_hostile_text_adds_no_tag_and_no_attribute_and_hides_nothing() -> None:
    hostile, known = Reader(page(report_with(HOSTILE))), Reader(page(report_with("harmless")))
    assert hostile.tags == known.tags
    assert hostile.attributes == known.attributes
    assert not {"script", "img", "link", "iframe"} & hostile.tags
    assert "<script>alert(1)</script><img src=x onerror=alert(1)>" in hostile.text
    assert "{{ 7 * 7 }}" in hostile.text
    assert "⟨U+202E⟩evil⟨U+2066⟩⟨U+200B⟩⟨U+200D⟩⟨U+FEFF⟩⟨U+0000⟩⟨U+001B⟩]0;x" in hostile.text


@given(st.text())
def test_any_text_leaves_the_page_as_it_is_built(text: str) -> None:
    made = page(report_with(text))
    assert Reader(made).tags == Reader(page(report_with("harmless"))).tags
    assert not {*"\x00\x1b\u202a\u202e\u2066\u200b\ufeff\u2028"} & set(made)


@pytest.mark.parametrize("text", ["نمی‌خواهم", "👩‍🚒", "Grüße,\n\tJosé — 東京"])
def test_text_of_any_script_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_a_joiner_in_latin_text_is_named() -> None:
    assert visible("pass\u200dword") == "pass⟨U+200D⟩word"
    assert visible("é\u200d\u200dé") == "é⟨U+200D⟩⟨U+200D⟩é"


def test_nothing_is_loaded_or_run() -> None:
    made = page(plain())
    assert "default-src 'none'" in made
    assert MARKER in made[:500]
    for forbidden in ("http:", "https:", "url(", "@import", "<script", "src=", "href="):
        assert forbidden not in made
    assert "prefers-color-scheme: dark" in made


def test_the_counts_of_the_funnel_add_up_on_the_page() -> None:
    counts = Reader(page(plain())).counts
    assert counts == {"candidates": [19], "refused": [5, 2], "accepted": [12]}


def test_without_an_accepted_or_a_rejected_one_there_is_a_page() -> None:
    only = Reader(page(report_of("pairs", table(candidate(1)), table())))
    assert "none rejected" in only.text
    none = Reader(page(report_of("pairs", table(), table(candidate(1, "static", "pii")))))
    assert "none accepted" in none.text
    assert "0.0 %" in none.text


def test_long_texts_are_cut_and_the_page_says_so() -> None:
    text = Reader(page(report_with("x" * (MAX_MESSAGE + 1_234)))).text
    assert "x" * MAX_MESSAGE + "\n[1,234 more characters]" in text


def test_reasons_beyond_the_most_frequent_are_summed() -> None:
    stage = Stage("response", 36, tuple((f"reason_{i}", 8 - i) for i in range(8)))
    text = Reader(page(replace(plain(), candidates=48, funnel=(stage,)))).text
    assert "3 reason_5" in text
    assert "3 for 2 other reasons" in text


def test_a_stage_narrows_by_what_it_refused() -> None:
    assert slope(Stage("rip", 80, (("gap_wide", 40),)), 100) == (
        "10.00,0 90.00,0 70.00,100 30.00,100"
    )


def test_bars_are_as_high_as_their_share_of_the_highest() -> None:
    made = histogram([0.0, 0.0, 0.5, 1.0], [])
    assert made is not None
    accepted, rejected = panels(made)
    assert [bar.height for bar in accepted.bars] == [PANEL, PANEL / 2, PANEL / 2]
    assert all(bar.y + bar.height == PANEL for bar in accepted.bars)
    assert accepted.bars[0].title == "0 to 0.05: 2 accepted"
    assert rejected.bars == ()
    assert rejected.median is None
    places = ticks(made)
    assert places[0] == (LEFT, "0")
    assert all(LEFT <= x <= WIDTH for x, _ in places)
