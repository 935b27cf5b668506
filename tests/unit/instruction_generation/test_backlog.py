import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from services.events import Requirement
from services.instruction_generation.backlog import Backlog
from services.instruction_generation.domain import Claim
from services.instruction_generation.revocable import Revocable
from services.runtime.errors import Retryable


def claim(name: str, stratum: str = "r00") -> Claim:
    return Claim(name, "d", stratum, "s", "a", 0, Requirement("q", "", 1, ""), "g")


class Work:
    """What is done with claims: noted, once the gate is open."""

    def __init__(self, *fail: Exception) -> None:
        self.gate = asyncio.Event()
        self.begun: list[str] = []
        self.done: list[str] = []
        self.given_up: list[str] = []
        self._fail = list(fail)

    async def work_off(self, one: Claim) -> None:
        self.begun.append(one.candidate_id)
        await self.gate.wait()
        if self._fail:
            raise self._fail.pop(0)
        self.done.append(one.candidate_id)

    async def give_up(self, one: Claim) -> None:
        self.given_up.append(one.candidate_id)

    def backlog(self, supervised: bool = False) -> Backlog:
        return Backlog(self.work_off, self.give_up, supervised, pause_seconds=0)


@asynccontextmanager
async def working(backlog: Backlog, hands: int) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(backlog.work(hands))
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_claim_is_here_once_until_it_is_worked_off() -> None:
    work = Work()
    backlog = work.backlog()
    backlog.add([claim("a"), claim("b"), claim("a")])
    async with working(backlog, hands=5):
        await until(lambda: backlog.in_work == 2)
        backlog.add([claim("a")])
        assert len(backlog) == 2
        work.gate.set()
        await until(lambda: not len(backlog))
        assert sorted(work.done) == ["a", "b"]
        backlog.add([claim("a")])
        await until(lambda: not len(backlog))
    assert sorted(work.done) == ["a", "a", "b"]


async def test_as_many_are_in_work_as_there_are_hands() -> None:
    work = Work()
    backlog = work.backlog()
    backlog.add(claim(str(number)) for number in range(9))
    async with working(backlog, hands=4):
        await until(lambda: len(work.begun) == 4)
        assert (backlog.in_work, len(backlog)) == (4, 9)
        work.gate.set()
        await until(lambda: len(work.done) == 9)


async def test_claims_of_a_lost_stratum_are_forgotten_whether_they_wait_or_are_in_work() -> None:
    work = Work()
    backlog = work.backlog()
    backlog.add([claim("in work", "r01"), claim("waits"), claim("waits too", "r01")])
    async with working(backlog, hands=1) as hands:
        await until(lambda: backlog.in_work == 1)
        backlog.revoke(lambda key: key == "d/r01")
        assert (backlog.in_work, len(backlog)) == (0, 1)
        work.gate.set()
        await until(lambda: not len(backlog))
        assert work.done == ["waits"]
        assert not hands.done()


async def test_a_claim_that_is_taken_over_again_at_once_is_worked_off() -> None:
    work = Work()
    backlog = work.backlog()
    backlog.add([claim("a")])
    async with working(backlog, hands=2):
        await until(lambda: len(work.begun) == 1)
        backlog.revoke(lambda key: True)
        backlog.add([claim("a")])
        await until(lambda: backlog.in_work == 1)
        assert len(backlog) == 1
        work.gate.set()
        await until(lambda: not len(backlog))
    assert (work.begun, work.done) == (["a", "a"], ["a"])


async def test_alone_it_ends_with_the_error() -> None:
    work = Work(Retryable("busy"))
    work.gate.set()
    backlog = work.backlog()
    backlog.add([claim("a")])
    with pytest.raises(Retryable, match="busy"):
        await backlog.work(3)


async def test_supervised_it_tries_again_what_may_succeed_and_gives_up_what_crashes() -> None:
    work = Work(*[Retryable("busy")] * 5, ValueError("bug"), ValueError("bug"))
    work.gate.set()
    backlog = work.backlog(supervised=True)
    backlog.add([claim("a")])
    assert await backlog.step()
    assert (len(work.begun), work.done, work.given_up) == (8, ["a"], [])
    work = Work(*[ValueError("bug")] * 3)
    work.gate.set()
    backlog = work.backlog(supervised=True)
    backlog.add([claim("a"), claim("b")])
    while await backlog.step():
        pass
    assert (work.done, work.given_up) == (["b"], ["a"])


async def test_work_gives_what_it_returns_and_nothing_once_it_is_revoked() -> None:
    async def waits() -> str:
        await asyncio.Event().wait()
        return "never"

    async def returns() -> str:
        return "done"

    work = Revocable()
    assert await work.run("a", returns()) == "done"
    runs = [asyncio.create_task(work.run(key, waits())) for key in "ab"]
    await until(lambda: len(work) == 2)
    work.revoke(lambda key: key == "a")
    assert await runs[0] is None
    assert not runs[1].done()
    runs[1].cancel()
    await asyncio.gather(runs[1], return_exceptions=True)
    assert len(work) == 0


async def test_work_that_breaks_off_by_itself_is_an_error() -> None:
    async def breaks_off() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="work for 'a' broke off inside"):
        await Revocable().run("a", breaks_off())


@pytest.mark.parametrize("revoked", [False, True])
async def test_whoever_is_cancelled_is_so_whether_or_not_the_work_is_revoked_or_heeds_it(
    revoked: bool,
) -> None:
    async def ends_all_the_same() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "done"

    work = Revocable()
    run = asyncio.create_task(work.run("a", ends_all_the_same()))
    await until(lambda: len(work) == 1)
    if revoked:
        work.revoke(lambda key: True)
    run.cancel()
    await asyncio.wait([run])
    assert run.cancelled()
    assert len(work) == 0


@pytest.mark.parametrize("error", [None, ValueError("on its way out")])
async def test_revoked_work_gives_nothing_whatever_it_makes_of_it_and_its_caller_goes_on(
    error: Exception | None,
) -> None:
    async def ends_otherwise() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None
        return "done"

    async def caller() -> list[str | None]:
        first = await work.run("a", ends_otherwise())
        await asyncio.sleep(0)  # Where a request to cancel that is left over would be raised.
        async with asyncio.timeout(30):
            return [first, await work.run("b", asyncio.sleep(0, "next"))]

    work = Revocable()
    calls = asyncio.create_task(caller())
    await until(lambda: len(work) == 1)
    work.revoke(lambda key: key == "a")
    assert len(work) == 0
    assert await calls == [None, "next"]
    assert calls.cancelling() == 0


async def test_a_deadline_of_the_caller_ends_the_work() -> None:
    work = Revocable()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await work.run("a", asyncio.Event().wait())
    assert len(work) == 0
