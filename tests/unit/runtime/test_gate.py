import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.runtime.gate import Gate

ACTS = st.lists(
    st.tuples(
        st.sampled_from(("come", "come", "go", "cancel", "cancel the next as it enters", "resize")),
        st.integers(0, 9),
    ),
    max_size=40,
)


@dataclass
class Caller:
    rank: tuple[int, int]
    """Priority, and number of arrival."""
    weight: int
    end: "asyncio.Future[None]" = field(default_factory=asyncio.Future)
    task: "asyncio.Task[None]" = field(init=False)


def weights(callers: list[Caller]) -> int:
    return sum(caller.weight for caller in callers)


class Crowd:
    """Callers at a gate: who is inside, who should be (`expected`), who should wait (`queue`)."""

    def __init__(self, slots: int) -> None:
        self.gate = Gate(slots)
        self.inside: list[Caller] = []
        self.expected: list[Caller] = []
        self.queue: list[Caller] = []
        self.arrived = 0

    async def _pass(self, caller: Caller) -> None:
        async with self.gate.at(caller.rank[0], caller.weight):
            self.inside.append(caller)
            try:
                await caller.end
            finally:
                self.inside.remove(caller)

    async def act(self, name: str, choice: int) -> None:
        if name == "come":
            caller = Caller((choice, self.arrived), 1 + choice % 3)
            caller.task = asyncio.create_task(self._pass(caller))
            self.queue.append(caller)
            self.arrived += 1
        elif name == "resize":
            self.gate.slots = choice // 2 + 1
        elif name == "cancel":
            everyone = self.expected + self.queue
            if everyone:
                caller = everyone[choice % len(everyone)]
                caller.task.cancel()
                (self.expected if caller in self.expected else self.queue).remove(caller)
        elif self.expected:
            self.expected.pop(choice % len(self.expected)).end.set_result(None)
            # With fewer slots than before, one that leaves may make no room for anybody.
            room = weights(self.expected) < self.gate.slots
            if name == "cancel the next as it enters" and self.queue and room:
                waiting = self.gate.waiting
                while self.gate.waiting == waiting:  # noqa: ASYNC110 - the moment it is let in
                    await asyncio.sleep(0)
                self.queue.pop(0).task.cancel()
        for _ in range(4):
            await asyncio.sleep(0)
        self.queue.sort(key=lambda caller: caller.rank)
        while self.queue and weights(self.expected) < self.gate.slots:
            self.expected.append(self.queue.pop(0))


@given(st.integers(1, 3), ACTS)
@example(3, [("come", 0)] * 4 + [("resize", 0), ("cancel the next as it enters", 0)])
def test_slots_are_never_overfilled_nor_lost_and_the_lowest_priority_number_is_next(
    slots: int, acts: list[tuple[str, int]]
) -> None:
    async def scenario() -> None:
        crowd = Crowd(slots)
        for name, choice in acts:
            await crowd.act(name, choice)
            assert {c.rank for c in crowd.inside} == {c.rank for c in crowd.expected}
            assert weights(crowd.inside) == crowd.gate.in_flight
            assert crowd.gate.waiting == weights(crowd.queue)
        while crowd.expected:
            await crowd.act("go", 0)
        assert (crowd.inside, crowd.gate.in_flight, crowd.gate.waiting) == ([], 0, 0)

    asyncio.run(scenario())


async def test_callers_of_equal_priority_enter_in_order_of_arrival() -> None:
    gate, entered = Gate(1), []

    async def enter(number: int) -> None:
        async with gate.at(0):
            entered.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*map(enter, range(5)))
    assert entered == [0, 1, 2, 3, 4]


async def test_who_asks_for_a_crowd_is_told_when_the_first_one_has_to_wait() -> None:
    crowd = Crowd(2)
    asked = asyncio.create_task(crowd.gate.crowded())
    await crowd.act("come", 0)
    await asyncio.sleep(0)
    assert not asked.done()
    await crowd.act("come", 1)  # It counts for two: the next one has to wait.
    await crowd.act("come", 1)
    await asyncio.sleep(0)
    await asyncio.wait_for(asked, 1.0)
    await asyncio.wait_for(crowd.gate.crowded(), 1.0)  # At once, while somebody waits.
    for caller in [*crowd.inside, *crowd.queue]:
        caller.task.cancel()
    await asyncio.sleep(0)
    assert not crowd.gate.waiting
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(crowd.gate.crowded(), 0.01)
