"""Dead letters: how a place is written, and which of them can be put back."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.letters import Letter, Place, check_replayable
from services.events import DeadLetter, codec
from services.events.dead_letters import DeadLetterTopic
from services.events.topics import DEAD_LETTERS, STEP_COMPLETED
from services.runtime.errors import Rejected
from services.runtime.metrics import Metrics
from services.runtime.ports import Delivery, Record

CONTENT = DeadLetter(STEP_COMPLETED.name, 1, 5, b"x", {}, "no use", "scribe")
LETTER = Letter(Place(3, 17), "g1", CONTENT, 1, 0.0)


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
def test_a_place_is_read_as_it_is_written_and_as_logs_write_it(partition: int, offset: int) -> None:
    place = Place(partition, offset)
    assert Place.parse(str(place)) == place
    assert Place.parse(f"{DEAD_LETTERS.name}[{partition}]@{offset}") == place


@pytest.mark.parametrize(
    "text", ["", "3", "3@", "@17", "-1@2", "3@x", "3@17 ", "a b[3]@17", "٣@1x"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match="is no place of a letter like 3@17"):
        Place.parse(text)


def test_a_letter_that_is_whole_and_came_from_a_topic_of_ours_can_be_put_back() -> None:
    check_replayable(LETTER, 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"topic": "somebody.elses"}, "came from no topic of ours: 'somebody.elses'"),
        ({"topic": DEAD_LETTERS.name}, "came from no topic of ours"),
        ({"partition": 2}, "partition 2 of matrix.step-completed.v1, which has 2"),
        ({"partition": -1}, "partition -1"),
    ],
)
def test_what_came_from_elsewhere_cannot(changes: dict[str, object], told: str) -> None:
    letter = replace(LETTER, content=replace(CONTENT, **changes))  # type: ignore[arg-type]
    with pytest.raises(Rejected, match=told):
        check_replayable(letter, 2)


class Shelf:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def publish(self, records: Sequence[Record]) -> None:
        self.records.extend(records)


@pytest.mark.parametrize(("size", "cut"), [(256 * 1024, False), (256 * 1024 + 1, True)])
async def test_what_was_cut_at_its_burial_is_known_as_cut(size: int, cut: bool) -> None:
    shelf = Shelf()
    buried = Delivery(STEP_COMPLETED.name, 1, 5, "g1", b"x" * size, {})
    await DeadLetterTopic(shelf, Metrics()).bury("scribe", buried, "no use")
    content = codec.CODECS["DeadLetter"].decode(shelf.records[0].value)
    assert replace(LETTER, content=content).cut is cut
