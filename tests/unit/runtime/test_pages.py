"""Pages: sizes, tokens, and the merging of what replicas have."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import Rejected
from services.runtime.pages import page_of, page_place, page_size, page_start, page_token

NAMES = st.sets(st.text(min_size=1, max_size=4), max_size=30)


def walked(replicas: list[set[str]], size: int) -> list[list[str]]:
    """Return all pages of a listing whose items are spread over replicas."""
    pages, token = [], ""
    while True:
        after = page_start("names", token)
        parts = [sorted(n for n in own if n > after)[: size + 1] for own in replicas]
        page, token = page_of("names", parts, str, size)
        pages.append(page)
        if not token:
            return pages


@given(NAMES, NAMES, st.integers(1, 7))
def test_pages_hold_all_items_of_all_replicas_once_in_order(
    first: set[str], second: set[str], size: int
) -> None:
    pages = walked([first, second], size)
    assert [name for page in pages for name in page] == sorted(first | second)
    assert all(len(page) == size for page in pages[:-1])
    assert pages[-1] or len(pages) == 1


def test_a_replica_that_has_more_than_it_gave_makes_another_page() -> None:
    page, token = page_of("names", [["a", "b"], []], str, 2, more=True)
    assert page == ["a", "b"]
    assert page_start("names", token) == "b"
    assert page_of("names", [["a", "b"]], str, 2) == (["a", "b"], "")


@given(st.text(max_size=20))
def test_a_token_names_its_place_again_in_its_own_listing_only(place: str) -> None:
    token = page_token("names", place)
    assert page_start("names", token) == place
    with pytest.raises(Rejected, match="page_token"):
        page_start("others", token)


@given(
    st.one_of(
        st.text(min_size=1), st.binary(min_size=1).map(lambda b: base64.b64encode(b).decode())
    )
)
def test_what_was_not_given_out_is_refused(token: str) -> None:
    with pytest.raises(Rejected, match="not given out by this listing"):
        page_place("names", token)


def test_a_token_that_names_no_string_does_not_begin_a_page_of_names() -> None:
    with pytest.raises(Rejected, match="not given out"):
        page_start("names", page_token("names", [1, 2]))
    with pytest.raises(Rejected, match="not given out"):
        page_place("names", page_token("names", "x" * 10_000))


def test_a_size_of_0_is_the_default_and_others_must_be_in_range() -> None:
    assert [page_size(asked, 20, 100) for asked in (0, 1, 100)] == [20, 1, 100]
    for asked in (-1, 101):
        with pytest.raises(Rejected, match=f"page_size {asked}"):
            page_size(asked, 20, 100)
