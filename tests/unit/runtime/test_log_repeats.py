"""Lines that repeat are held back, and what was held back is told in the end."""

import atexit
import io
import json
import logging
from typing import Any

import pytest
import structlog

from services.runtime import log_repeats, logs
from services.runtime.log_context import bound
from services.runtime.log_repeats import HoldLibraryRepeats, Repeats
from services.runtime.tracing import root
from tests.unit.runtime.spans import tracing_in_memory


class Told:
    """The log of a service, and its clock."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self.now = 0.0
        self._captured = captured
        self._text = ""
        self.repeats = Repeats(60, 3, 5, lambda: self.now)
        logs.configure_service_logs("test", "json", self.repeats)

    @property
    def lines(self) -> list[dict[str, Any]]:
        self._text += self._captured.readouterr().err
        return [json.loads(line) for line in self._text.splitlines()]

    def events(self) -> list[tuple[str, int]]:
        return [(line["event"], line.get("repeated", 0)) for line in self.lines]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Any:
    root_logger = logging.getLogger()
    before = list(root_logger.handlers), root_logger.level
    told = Told(capsys)
    yield told
    atexit.unregister(told.repeats.flush)
    root_logger.handlers[:], root_logger.level = before[0], before[1]


def test_after_the_first_few_a_repeat_is_told_with_its_number_when_the_window_is_over(
    log: Told,
) -> None:
    logger = structlog.get_logger("a")
    for number in range(10):
        logger.warning("tried again", number=number)
    assert log.events() == [("tried again", 0)] * 3
    log.now = 61
    logger.info("something else")
    assert log.events()[3:] == [("tried again", 7), ("something else", 0)]
    assert (log.lines[3]["number"], log.lines[3]["level"]) == (9, "warning")
    # A new window: the first few are told again.
    logger.warning("tried again")
    assert log.events()[-1] == ("tried again", 0)


def test_the_next_line_of_the_same_event_comes_after_the_number(log: Told) -> None:
    logger = structlog.get_logger("a")
    for _ in range(5):
        logger.info("x")
    log.now = 60
    logger.info("x", last=True)
    assert log.events() == [("x", 0)] * 3 + [("x", 2), ("x", 0)]
    assert log.lines[-1]["last"]


def test_nothing_that_was_held_back_is_lost_at_the_end(log: Told) -> None:
    for name in ("a", "b"):
        for _ in range(4):
            structlog.get_logger(name).info("x")
    assert log.events() == [("x", 0)] * 6  # each logger has its own number
    log.repeats.flush()
    log.repeats.flush()
    assert log.events()[6:] == [("x", 1), ("x", 1)]


def test_errors_are_held_back_later(log: Told) -> None:
    for _ in range(9):
        structlog.get_logger("a").error("x")
        structlog.get_logger("a").info("x")
    told = [line["level"] for line in log.lines]
    assert (told.count("error"), told.count("info")) == (5, 3)


def test_what_libraries_say_is_counted_by_its_form() -> None:
    text, repeats = io.StringIO(), Repeats(60, 3, 5)
    handler = logging.StreamHandler(text)
    handler.addFilter(HoldLibraryRepeats(repeats, handler))
    library = logging.Logger("library")
    library.addHandler(handler)
    for number in range(10):
        library.warning("connection %d is gone", number)
    assert text.getvalue().splitlines() == [f"connection {n} is gone" for n in range(3)]
    repeats.flush()
    assert text.getvalue().splitlines()[3:] == ["connection 9 is gone (repeated=7)"]


def test_memory_is_bounded_however_many_events_there_are(
    log: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_repeats, "MOST_EVENTS", 10)
    logger = structlog.get_logger("a")
    for _ in range(5):
        logger.info("first")
    for number in range(100):
        logger.info(f"event {number}")
    assert len(log.repeats) == 10
    assert ("first", 2) in log.events()  # pushed out, and told


def test_a_line_says_what_it_is_about_and_in_which_span_it_was_logged(log: Told) -> None:
    logger = structlog.get_logger("a")
    with tracing_in_memory(), root("step") as span, bound(topic="t", key="k"):
        assert span is not None
        with bound(candidate="c1"):
            logger.info("inside", key="its own")
        logger.info("outside")
        where = span.get_span_context()
    logger.info("after")
    inside, outside, after = log.lines
    assert (inside["topic"], inside["key"], inside["candidate"]) == ("t", "its own", "c1")
    assert inside["trace_id"] == outside["trace_id"] == f"{where.trace_id:032x}"
    assert outside["span_id"] == f"{where.span_id:016x}"
    assert (outside["key"], "candidate" in outside) == ("k", False)
    assert not {"trace_id", "topic", "key"} & after.keys()
