"""Tokens: nothing of a text is lost, and counts agree with the tokens."""

from hypothesis import given
from hypothesis import strategies as st

from services.local.simulator.tokens import (
    VOCABULARY_SIZE,
    chat_tokens,
    count_chat_tokens,
    count_tokens,
    printed,
    token_id,
    tokenize,
)


@given(st.text())
def test_joined_tokens_are_the_text(text: str) -> None:
    tokens = tokenize(text)
    assert "".join(tokens) == text
    assert all(tokens)
    assert count_tokens(text) == len(tokens)


def test_words_carry_their_leading_space_and_digits_stand_alone() -> None:
    assert tokenize("Hello world, it's 42!\n") == [
        *("Hello", " world", ",", " it", "'", "s"),
        *(" ", "4", "2", "!", "\n"),
    ]


def test_long_words_take_several_tokens() -> None:
    assert tokenize(" antidisestablishmentarianism") == [
        " antidisestab",
        "lishmentaria",
        "nism",
    ]


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text())))
def test_chat_counts_agree_with_chat_tokens(messages: list[tuple[str, str]]) -> None:
    assert count_chat_tokens(messages) == len(chat_tokens(messages))
    assert len(chat_tokens(messages)) == len(chat_tokens(messages, opened=False)) + 3


@given(st.text(min_size=1))
def test_ids_are_of_the_vocabulary(token: str) -> None:
    assert 0 <= token_id(token) < VOCABULARY_SIZE


def test_special_tokens_have_the_ids_of_the_recorded_model() -> None:
    tokens = chat_tokens([("user", "Hi")])
    ids = [token_id(token) for token in tokens]
    assert [tokens[0], ids[0]] == ["<|im_start|>", 1]
    assert [tokens[4], ids[4]] == ["<|im_end|>", 2]


def test_printed_tokens_mark_white_space() -> None:
    assert [printed(token) for token in tokenize("a b\n")] == ["a", "\u0120b", "\u010a"]


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_has_the_tokens_that_any_text_has(text: str) -> None:
    # A letter beyond ASCII, apart from the rest, leaves the fast way.
    assert tokenize(f"{text}\n\u00e9")[:-2] == tokenize(f"{text}\ne")[:-2]
    assert tokenize(f"{text}\n\u00e9")[-1] == "\u00e9"
