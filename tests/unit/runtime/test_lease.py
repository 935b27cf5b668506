"""A membership is trusted from the sending of the last heartbeat that was answered."""

import asyncio

import pytest

from services.runtime.lease import Lease


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_certain_before_the_first_answer() -> None:
    assert not Lease(10, Clock()).holds


def test_it_ends_before_the_session_does() -> None:
    clock = Clock()
    lease = Lease(10, clock)
    lease.confirm(clock.now)
    clock.now += 7
    assert lease.holds
    clock.now += 1
    assert not lease.holds


def test_an_answer_that_was_waiting_while_the_process_slept_confirms_nothing() -> None:
    clock = Clock()
    lease = Lease(10, clock)
    sent = clock.now
    clock.now += 30
    lease.confirm(sent)
    assert not lease.holds


def test_a_late_answer_takes_nothing_back() -> None:
    clock = Clock()
    lease = Lease(10, clock)
    lease.confirm(clock.now)
    lease.confirm(clock.now - 20)
    assert lease.holds


def test_one_who_is_awake_while_the_group_rebalances_keeps_it_for_so_long_and_no_longer() -> None:
    clock = Clock()
    lease = Lease(10, clock)
    lease.confirm(clock.now)
    for _ in range(19):
        clock.now += 1
        lease.carry_on()
        assert lease.holds
    for _ in range(9):
        clock.now += 1
        lease.carry_on()
    assert not lease.holds


def test_one_who_slept_while_the_group_rebalanced_has_lost_it() -> None:
    clock = Clock()
    lease = Lease(10, clock)
    lease.confirm(clock.now)
    clock.now += 8
    lease.carry_on()
    assert not lease.holds


async def test_who_waits_goes_on_when_it_is_confirmed() -> None:
    clock = Clock()
    lease = Lease(10, clock)
    waiting = asyncio.create_task(lease.held())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.05)
    lease.confirm(clock.now)
    await asyncio.wait_for(waiting, 5)
