"""Markers decide whose records count, and the log alone decides where they stand."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.fencing import EPOCH, Claim, Fence, healing, is_marker, marker
from services.runtime.ports import Delivery, Record


def placed(record: Record, offset: int) -> Delivery:
    assert record.partition is not None
    return Delivery(
        record.topic, record.partition, offset, record.key, record.value, record.headers
    )


def taken_over(offset: int, partition: int = 0) -> Delivery:
    return placed(marker("log", partition), offset)


def written(offset: int, epoch: str | None, key: str = "k", value: bytes = b"v") -> Delivery:
    headers = {} if epoch is None else {EPOCH: epoch}
    return Delivery("log", 0, offset, key, value, headers)


def test_two_markers_are_never_the_same() -> None:
    assert marker("log", 0).value != marker("log", 0).value
    assert is_marker(taken_over(3))
    assert not is_marker(written(3, "1"))


def test_a_record_of_a_former_owner_counts_before_the_next_marker_and_not_after_it() -> None:
    history = [taken_over(0), written(1, "0"), taken_over(2), written(3, "0"), written(4, "2")]
    fence = Fence()
    assert [d.offset for d in fence.filtered(history)] == [1, 4]
    assert fence.void == 1


def test_the_marker_of_one_partition_says_nothing_of_another() -> None:
    history = [taken_over(5, partition=1), written(6, "0")]
    assert Fence().filtered(history) == history[1:]


def test_a_record_without_an_epoch_is_nobodys_and_counts() -> None:
    history = [taken_over(0), written(1, None)]
    assert Fence().filtered(history) == history[1:]


@given(st.text(max_size=30))
def test_an_epoch_that_is_none_does_not_count_after_a_marker(text: str) -> None:
    fence = Fence()
    fence.note(taken_over(5))
    counts = text.isascii() and text.isdigit() and len(text) < 20 and int(text) >= 5
    assert fence.valid(written(6, text)) == counts


def test_markers_noted_twice_or_late_change_nothing() -> None:
    fence = Fence()
    for offset in (0, 4, 4, 0):
        fence.note(taken_over(offset))
    assert fence.valid(written(2, "0"))
    assert not fence.valid(written(5, "0"))


owners = st.lists(
    st.tuples(st.sampled_from(["take over", "write", "write late"]), st.integers(0, 3)), max_size=30
)


@given(owners)
def test_all_readers_decide_alike_wherever_they_stop(moves: list[tuple[str, int]]) -> None:
    """A marker that compaction removed is always followed by another one."""
    history: list[Delivery] = [taken_over(0)]
    epochs = [0]
    for offset, (move, key) in enumerate(moves, start=1):
        if move == "take over":
            history.append(taken_over(offset))
            epochs.append(offset)
        else:
            epoch = epochs[-1] if move == "write" else epochs[0]
            history.append(written(offset, str(epoch), key=f"k{key}"))
    valid = Fence().filtered(history)
    for end in range(len(history)):
        assert Fence().filtered(history[:end]) == [d for d in valid if d.offset < end]
    in_force = 0
    for delivery in history:
        if is_marker(delivery):
            in_force = delivery.offset
        else:
            assert (delivery in valid) == (int(delivery.headers[EPOCH]) >= in_force)


def test_healing_writes_what_a_void_record_would_push_out() -> None:
    history = [
        taken_over(0),
        written(1, "0", key="a", value=b"valid"),
        taken_over(2),
        written(3, "0", key="a", value=b"void"),
        written(4, "0", key="b", value=b"void"),
        written(5, "2", key="c", value=b"fine"),
    ]
    records = healing(history, Fence().filtered(history))
    assert {(r.key, r.value, r.partition) for r in records} == {("a", b"valid", 0), ("b", b"", 0)}
    assert all(EPOCH not in record.headers for record in records)


def test_nothing_is_healed_where_nothing_is_void() -> None:
    history = [taken_over(0), written(1, "0"), replace(written(2, "0"), value=b"")]
    assert healing(history, Fence().filtered(history)) == []


def test_an_owner_knows_how_far_its_own_records_can_have_come() -> None:
    claim = Claim(10)
    claim.wrote(11)
    claim.wrote(12)
    assert claim.explains(12)
    # Somebody's record is at 13: looked at, and no marker.
    claim.wrote(14)
    assert not claim.explains(14)
    claim.looked(14)
    assert claim.explains(14)
    # One failed, and came or not: whatever comes next is looked at.
    claim.wrote(16)
    assert not claim.explains(16)


def test_of_several_records_at_once_the_first_behind_a_marker_is_looked_at() -> None:
    claim = Claim(10)
    # Four were sent; a marker of another process took 11.
    for offset in (12, 13, 14, 15):
        claim.wrote(offset)
        assert not claim.explains(offset)


def test_records_whose_answers_come_in_another_order_are_all_ours() -> None:
    claim = Claim(10)
    claim.wrote(12)
    assert not claim.explains(12)
    claim.wrote(11)
    assert claim.explains(12)
    claim.wrote(14)
    claim.looked(13)
    assert claim.explains(14)
