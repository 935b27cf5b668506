import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.asking import complete_sentences, one_line, whole_sentences
from services.runtime.ports import Completion

PIECES = st.lists(st.sampled_from(["Yes", ". ", "! ", "? ", "\n", ".", " ", "and th"]), max_size=9)


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ("She bakes. He waits. Then th", "She bakes. He waits."),
        ("Who waits? He", "Who waits?"),
        ("Stop! Who", "Stop!"),
        ("- bake\n- wait\n- th", "- bake\n- wait"),
        ("She bakes. He waits.", "She bakes. He waits."),
        ("She bakes at 3.5 degr", "She bakes at 3.5 degr"),
        ("She bakes. Then Mr.", "She bakes."),
        ("Ask Dr. Berg. Then Mrs. Ro", "Ask Dr. Berg."),
        ("9. Bake.\n10. Fin", "9. Bake."),
        ("He likes plan B? Or pl", "He likes plan B?"),
        ('He said "go." Th', 'He said "go."'),
        ("no end in sight", "no end in sight"),
        ("", ""),
    ],
)
def test_a_text_that_was_cut_off_ends_with_its_last_sentence_or_line(cut: str, whole: str) -> None:
    assert whole_sentences(Completion(cut, "length")) == whole


@pytest.mark.parametrize("cut", ["How do bees fly when", "Can Mr. Ro", "1. Explain", "a\nb", ""])
def test_a_text_without_a_whole_sentence_has_no_complete_one(cut: str) -> None:
    assert complete_sentences(cut) == ""


@given(PIECES.map("".join))
def test_a_text_that_ended_by_itself_stays_whole_and_a_cut_one_only_loses_its_end(
    text: str,
) -> None:
    assert whole_sentences(Completion(text, "stop")) == text.strip()
    kept = whole_sentences(Completion(text, "length"))
    assert text.strip().startswith(kept)
    assert bool(kept) == bool(text.strip())


@given(st.text())
def test_one_line_keeps_the_words_and_has_no_line_break(text: str) -> None:
    line = one_line(text)
    assert line.split() == text.split()
    assert len(line.splitlines()) <= 1
