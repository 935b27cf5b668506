"""Decisions in the log: which of them counts, and that all who read them agree."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agent_state import decisions
from services.agent_state.decisions import DecisionLog
from services.events import JoinDecided, SocietyImported
from services.runtime.errors import Retryable

SOCIETY = SocietyImported(10, 2, {"r00": 10}, 0, "f", 1.0)


def grown(joins: int) -> SocietyImported:
    return replace(SOCIETY, agents=10 + joins, joins=joins)


def decided(number: int, decision_id: str) -> JoinDecided:
    return JoinDecided(number, decision_id, society=grown(number))


def read(*events: JoinDecided | SocietyImported) -> DecisionLog:
    log = DecisionLog()
    for event in events:
        log.learn(event)
    return log


def test_the_first_decision_of_a_number_counts_until_it_was_carried_out() -> None:
    log = read(SOCIETY, decided(1, "a"), decided(1, "b"))
    assert (log.number, log.decision_id, log.unfinished) == (1, "a", decided(1, "a"))
    log.learn(grown(1))
    assert (log.number, log.unfinished, log.society) == (1, None, grown(1))
    log.learn(decided(1, "b"))
    assert log.unfinished is None
    log.learn(decided(2, "c"))
    assert log.unfinished == decided(2, "c")


def test_a_decision_counts_also_when_others_were_made_before_its_author_looks() -> None:
    log = read(SOCIETY, decided(1, "a"), decided(1, "b"), grown(1), decided(2, "c"), grown(2))
    assert log.number == 2
    assert log.counts(decided(1, "a"))
    assert not log.counts(decided(1, "b"))
    assert log.counts(decided(2, "c"))
    assert not log.counts(decided(3, "d"))


def test_what_a_frozen_replica_says_late_changes_nothing() -> None:
    log = read(SOCIETY, decided(1, "a"), grown(1), decided(2, "b"), grown(2), decided(3, "c"))
    for late in (grown(1), SOCIETY, decided(2, "z"), JoinDecided(1, "a", carried_out=True)):
        log.learn(late)
    assert (log.society, log.number, log.unfinished) == (grown(2), 3, decided(3, "c"))


@given(st.lists(st.integers(1, 3), max_size=6), st.data())
def test_a_compacted_log_reads_as_the_whole_one(rivals: list[int], data: st.DataObject) -> None:
    """Of each key only the last record may be left; of those that still come, any may be."""
    written: list[tuple[str, JoinDecided | SocietyImported]] = [("society", SOCIETY)]
    for number, count in enumerate(rivals, 1):
        ids = [f"{number}{chr(97 + n)}" for n in range(count)]
        written += [(f"join/{number}/{i}", decided(number, i)) for i in ids]
        written.append(("society", grown(number)))
        for before, decision_id in sorted(read(*(event for _, event in written)).kept):
            if before < number:
                done = JoinDecided(before, decision_id, carried_out=True)
                written.append((f"join/{before}/{decision_id}", done))
    cut = data.draw(st.integers(1, len(written)))
    compacted_to = data.draw(st.integers(0, cut))
    last = {key: place for place, (key, _) in enumerate(written[:cut])}
    kept = [
        event
        for place, (key, event) in enumerate(written[:cut])
        if place >= compacted_to or last[key] == place
    ]
    whole, compacted = read(*(event for _, event in written[:cut])), read(*kept)
    assert compacted.society == whole.society
    assert (compacted.number, compacted.unfinished) == (whole.number, whole.unfinished)
    assert compacted.kept == whole.kept
    # Of the last number all are there, so that nobody takes a later one for the first.
    assert compacted.decision_id == whole.decision_id
    assert {number for number, _ in whole.kept} <= {whole.number, whole.number - 1}


async def test_one_who_waits_is_told_when_it_comes_and_when_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = DecisionLog()
    waiting = asyncio.create_task(log.until(lambda: log.society is not None))
    await asyncio.sleep(0)
    log.learn(decided(1, "a"))
    await asyncio.sleep(0)
    assert not waiting.done()
    log.learn(SOCIETY)
    await waiting
    monkeypatch.setattr(decisions, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(Retryable, match="did not bring back"):
        await log.until(lambda: log.number == 5)
