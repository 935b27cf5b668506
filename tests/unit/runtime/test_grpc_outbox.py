"""What waits for a caller that reads slowly."""

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.streams import Outbox


@given(st.integers(1, 5), st.lists(st.integers(0, 9), max_size=12))
def test_an_outbox_takes_what_is_wanted_until_it_is_full_and_then_nothing(
    capacity: int, items: list[int]
) -> None:
    outbox: Outbox[int] = Outbox(capacity, lambda item: item % 2 == 0)
    taken = [outbox.offer(item) for item in items]
    wanted = 0
    for item, goes_on in zip(items, taken, strict=True):
        wanted += item % 2 == 0
        assert goes_on == (wanted <= capacity)


def test_a_filter_with_a_bug_ends_its_stream_and_not_the_publisher() -> None:
    def broken(item: int) -> bool:
        raise ZeroDivisionError

    outbox: Outbox[int] = Outbox(3, broken)
    assert not outbox.offer(1)
    assert not outbox.offer(2)


def test_nothing_is_taken_after_the_end() -> None:
    outbox: Outbox[int] = Outbox(3)
    assert outbox.offer(1)
    outbox.end()
    assert not outbox.offer(2)
