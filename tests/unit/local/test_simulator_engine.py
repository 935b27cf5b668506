"""Admission and faults, without a network."""

import asyncio
from collections import Counter

import pytest

from services.local.simulator.engine import Engine
from services.local.simulator.faults import Fault, Faults
from services.local.simulator.refusals import Refusal
from services.local.simulator.settings import SimulatorSettings


async def test_further_calls_wait_in_order_and_one_too_many_is_refused() -> None:
    engine = Engine(SimulatorSettings(slots=1, waiting=2))
    release = asyncio.Event()
    served: list[int] = []

    async def call(number: int) -> None:
        async with engine.call():
            served.append(number)
            await release.wait()

    calls = [asyncio.create_task(call(number)) for number in range(3)]
    await asyncio.sleep(0)  # lets each of them start
    assert engine.in_flight == 3
    assert served == [0]
    with pytest.raises(Refusal) as refused:
        await call(3)
    assert refused.value.status == 503
    release.set()
    await asyncio.gather(*calls)
    assert served == [0, 1, 2]
    assert (engine.in_flight, engine.completed) == (0, 3)


async def test_a_cancelled_call_frees_its_slot_and_does_not_count() -> None:
    engine = Engine(SimulatorSettings(slots=1, hang=1.0))

    async def call() -> None:
        async with engine.call():
            pytest.fail("a call that hangs is never let through")

    task = asyncio.create_task(call())
    await asyncio.sleep(0)  # lets it start
    assert engine.in_flight == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (engine.in_flight, engine.completed) == (0, 0)


async def test_a_hanging_call_ends_when_the_server_stops() -> None:
    engine = Engine(SimulatorSettings(hang=1.0))

    async def call() -> None:
        async with engine.call():
            pytest.fail("a call that hangs is never let through")

    task = asyncio.create_task(call())
    await asyncio.sleep(0)  # lets it start
    assert engine.in_flight == 1
    engine.stop()
    with pytest.raises(Refusal):
        await task


@pytest.mark.parametrize(("fault", "status"), [("error_500", 500), ("error_503", 503)])
async def test_error_faults_refuse(fault: str, status: int) -> None:
    engine = Engine(SimulatorSettings(**{fault: 1.0}))  # type: ignore[arg-type]
    with pytest.raises(Refusal) as refused:
        async with engine.call():
            pytest.fail("a call that fails is never let through")
    assert refused.value.status == refused.value.body["error"]["code"] == status
    assert engine.completed == 0


def test_faults_come_at_their_rates_and_by_the_seed() -> None:
    settings = SimulatorSettings(seed=4, error_500=0.1, garbage=0.2, truncated=0.3)
    drawn = [Faults(settings)] * 2000
    seen = Counter(faults.next() for faults in drawn)
    assert 0.07 < seen[Fault.ERROR_500] / 2000 < 0.13
    assert 0.16 < seen[Fault.GARBAGE] / 2000 < 0.24
    assert 0.26 < seen[Fault.TRUNCATED] / 2000 < 0.34
    assert seen[Fault.HANG] == seen[Fault.ERROR_503] == 0
    one, two = Faults(settings), Faults(settings)
    assert [one.next() for _ in range(50)] == [two.next() for _ in range(50)]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": ()}, "model"),
        ({"slots": 0}, "slots"),
        ({"garbage": 1.5}, "garbage"),
        ({"hang": 0.6, "error_500": 0.6}, "at most 1 together, got 1.2"),
        ({"seconds_per_call": -1.0}, "seconds_per_call"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SimulatorSettings(**fields)  # type: ignore[arg-type]
