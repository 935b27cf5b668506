"""A clock that slows down under load."""

import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.local.simulator.loaded_clock import LoadedClock
from tests.virtual_time import in_virtual_time


def test_time_passes_at_the_speed_of_each_load() -> None:
    async def main() -> float:
        clock = LoadedClock(1.0)
        assert clock.time() == 0
        await asyncio.sleep(2)
        clock.set_load(1.0)
        await asyncio.sleep(2)
        clock.set_load(0.5)
        await asyncio.sleep(3)
        return clock.time()

    assert in_virtual_time(main()) == pytest.approx(2 + 2 / 2 + 3 / 1.5)


def test_a_cancelled_timer_does_not_ring() -> None:
    async def main() -> list[str]:
        clock, rang = LoadedClock(0.0), list[str]()
        clock.call_later(1, lambda: rang.append("first")).cancel()
        clock.call_later(2, lambda: rang.append("second"))
        await asyncio.sleep(5)
        return rang

    assert in_virtual_time(main()) == ["second"]


@given(
    factor=st.sampled_from([0.0, 0.5, 3.0]),
    delays=st.lists(st.floats(0, 50), max_size=8),
    loads=st.lists(st.tuples(st.floats(0.01, 20), st.floats(0, 1)), max_size=8),
)
def test_timers_ring_in_order_at_their_time(
    factor: float, delays: list[float], loads: list[tuple[float, float]]
) -> None:
    async def main() -> None:
        clock, rang = LoadedClock(factor), list[tuple[float, float]]()

        def ring(delay: float) -> None:
            rang.append((delay, clock.time()))

        for delay in delays:
            clock.call_later(delay, partial(ring, delay))
        for seconds, load in loads:
            clock.set_load(load)
            await asyncio.sleep(seconds)
        await asyncio.sleep(50 * (1 + factor) + 1)
        assert [delay for delay, _ in rang] == sorted(delays)
        assert [time for _, time in rang] == pytest.approx(sorted(delays), abs=1e-6)

    in_virtual_time(main())
