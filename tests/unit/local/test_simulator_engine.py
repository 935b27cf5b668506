"""Calls, time, slots, queue and faults of the engine, without a network and without waiting."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.local.simulator.engine import Engine
from services.local.simulator.faults import Fault, Faults
from services.local.simulator.kv_cache import text_chain
from services.local.simulator.refusals import Refusal
from services.local.simulator.sequences import EngineSequence
from services.local.simulator.settings import SimulatorSettings
from tests.virtual_time import in_virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def sequence(output: int = 1, prompt: int = 10) -> EngineSequence:
    return EngineSequence(prompt, ("x",) * output, "length", max_tokens=output)


async def call(
    engine: Engine, *sequences: EngineSequence, choices: int = 1, priority: int = 0
) -> float:
    """Make a call of `sequences`, and return when it is answered."""
    with engine.arrive(len(sequences)) as made:
        await made.begin(sequences, choices=choices, priority=priority)
        await made.end()
        return now()


def answered(
    settings: SimulatorSettings, calls: Sequence[Sequence[EngineSequence]]
) -> tuple[list[float], Engine]:
    """When each of `calls`, made at once in this order, is answered; and the engine after that."""

    async def main() -> tuple[list[float], Engine]:
        engine = Engine(settings)
        return await asyncio.gather(*(call(engine, *one) for one in calls)), engine

    return in_virtual_time(main())


def test_a_call_takes_its_prefill_and_a_step_for_each_token_after_the_first() -> None:
    settings = SimulatorSettings(
        seconds_per_call=1.0, seconds_per_prompt_token=0.01, seconds_per_token=0.1
    )
    [seconds], engine = answered(settings, [[sequence(output=21, prompt=50)]])
    assert seconds == pytest.approx(1.0 + 50 * 0.01 + 20 * 0.1)
    counted = engine.measurements
    assert counted.first_token.sum == counted.prefill.sum == pytest.approx(1.5)
    assert counted.decode.sum == counted.inter_token.sum == pytest.approx(2.0)
    assert counted.inter_token.cumulative[-1] == ("+Inf", 20)
    assert counted.latency.sum == pytest.approx(3.5)
    assert (counted.prompt_tokens, counted.generated_tokens) == (50, 21)


def test_what_is_only_read_costs_its_prompt_alone() -> None:
    settings = SimulatorSettings(
        slots=1, seconds_per_call=1.0, seconds_per_prompt_token=0.01, seconds_per_token=0.1
    )
    read = [[EngineSequence(50)], [EngineSequence(30)]]
    seconds, engine = answered(settings, read)
    assert seconds == pytest.approx([0.5, 0.8])
    assert engine.measurements.max_tokens.cumulative[-1] == ("+Inf", 0)
    assert engine.measurements.finished_by_reason == {"stop": 2}


def test_choices_of_a_call_take_a_slot_each() -> None:
    settings = SimulatorSettings(slots=2, seconds_per_token=1.0)
    lengths = (4, 2, 3)
    [seconds], engine = answered(settings, [[sequence(output) for output in lengths]])
    # The third one follows the second one: 1 + 2 s, as long as the first one.
    assert seconds == pytest.approx(3.0)
    assert engine.measurements.finished_by_reason == {"length": 3}
    assert engine.measurements.queued.sum == pytest.approx(1.0)


def test_tokens_come_slower_the_more_slots_are_taken() -> None:
    settings = SimulatorSettings(slots=4, seconds_per_token=0.1, load_factor=0.6)
    assert answered(settings, [[sequence(11)]])[0] == pytest.approx([1.15])
    four = [[sequence(11)] for _ in range(4)]
    assert answered(settings, four)[0] == pytest.approx([1.6] * 4)


def test_load_counts_as_it_is_at_each_moment() -> None:
    settings = SimulatorSettings(slots=2, seconds_per_token=1.0, load_factor=1.0)
    seconds, _ = answered(settings, [[sequence(3)], [sequence(5)]])
    # Two run at half the speed of an idle server until the first is done at 4 s, with 2 steps
    # made by each; the other two steps of the second take 1.5 s.
    assert seconds == pytest.approx([4.0, 7.0])


def test_prefill_takes_its_time_whatever_the_load() -> None:
    settings = SimulatorSettings(
        slots=1, seconds_per_call=1.0, seconds_per_token=1.0, load_factor=1.0
    )
    assert answered(settings, [[sequence(2)]])[0] == pytest.approx([3.0])


def test_spread_keeps_the_mean_and_is_drawn_by_the_seed() -> None:
    settings = SimulatorSettings(slots=2000, seconds_per_call=2.0, spread=0.7, seed=3)
    calls = [[sequence()] for _ in range(2000)]
    seconds, _ = answered(settings, calls)
    assert 1.85 < sum(seconds) / 2000 < 2.15
    assert max(seconds) > 8
    assert answered(settings, [[sequence()] for _ in range(2000)])[0] == seconds


def test_further_calls_wait_in_order_and_one_too_many_is_refused() -> None:
    async def main() -> None:
        engine = Engine(SimulatorSettings(slots=1, waiting=2, seconds_per_call=1.0))
        calls = [asyncio.create_task(call(engine, sequence())) for _ in range(3)]
        await asyncio.sleep(0)
        assert (engine.in_flight, engine.running, engine.waiting) == (3, 1, 2)
        with pytest.raises(Refusal) as refused:
            engine.arrive(1)
        assert refused.value.status == 503
        assert await asyncio.gather(*calls) == [1.0, 2.0, 3.0]
        assert (engine.in_flight, engine.completed) == (0, 3)
        assert engine.measurements.rejections == 1
        with pytest.raises(Refusal):
            engine.arrive(4)  # its choices count one by one

    in_virtual_time(main())


@pytest.mark.parametrize(("policy", "order"), [("fcfs", [0, 1, 2, 3]), ("priority", [0, 3, 1, 2])])
def test_priority_counts_under_its_policy_only(policy: str, order: list[int]) -> None:
    async def main() -> list[int]:
        engine = Engine(SimulatorSettings(slots=1, seconds_per_call=1.0, scheduling_policy=policy))
        priorities = [5, 2, 2, -1]
        ends = await asyncio.gather(
            *(call(engine, sequence(), priority=priority) for priority in priorities)
        )
        return sorted(range(4), key=lambda number: ends[number])

    assert in_virtual_time(main()) == order


def test_sequences_wait_for_blocks_and_nobody_overtakes() -> None:
    def of(blocks: int, text: str) -> EngineSequence:
        chain = text_chain(text, 2)
        return EngineSequence(2, ("y",) * (2 * blocks - 2), chain=chain, max_tokens=100)

    async def main() -> None:
        settings = SimulatorSettings(
            block_size=2, kv_blocks=8, max_model_len=16, seconds_per_token=1.0
        )
        engine = Engine(settings)
        calls = [of(5, " a b"), of(6, " c d"), of(2, " e f")]
        tasks = [asyncio.create_task(call(engine, one)) for one in calls]
        await asyncio.sleep(0)
        assert (engine.running, engine.waiting) == (1, 2)
        assert engine.cache is not None
        assert engine.cache.usage == pytest.approx(5 / 8)
        assert await asyncio.gather(*tasks) == [7.0, 16.0, 8.0]
        assert engine.cache.usage == 0

    in_virtual_time(main())


def test_a_resized_server_runs_more_at_once_or_lets_the_rest_run_out() -> None:
    async def main() -> None:
        engine = Engine(SimulatorSettings(slots=1, seconds_per_call=1.0))
        calls = [asyncio.create_task(call(engine, sequence())) for _ in range(6)]
        await asyncio.sleep(0.5)
        engine.resize(3)
        assert (engine.running, engine.waiting) == (3, 3)
        await asyncio.sleep(0.1)
        engine.resize(1)
        assert (engine.running, engine.waiting) == (3, 3)
        assert await asyncio.gather(*calls) == pytest.approx([1.0, 1.5, 1.5, 2.5, 3.5, 4.5])
        with pytest.raises(ValueError, match="slots"):
            engine.resize(0)

    in_virtual_time(main())


def test_tokens_of_a_stream_come_at_their_time() -> None:
    async def main() -> list[tuple[float, int, int]]:
        engine = Engine(SimulatorSettings(slots=2, seconds_per_call=1.0, seconds_per_token=0.5))
        came = []
        with engine.arrive(2) as made:
            await made.begin([sequence(3), sequence(2)], choices=2)
            async for index, place in made.tokens():
                came.append((now(), index, place))
            await made.end()
        return came

    assert in_virtual_time(main()) == [
        (1.0, 0, 0),
        (1.0, 1, 0),
        (1.5, 0, 1),
        (1.5, 1, 1),
        (2.0, 0, 2),
    ]


def test_streams_without_times_come_at_once_and_whole() -> None:
    async def main() -> list[tuple[int, int]]:
        engine = Engine(SimulatorSettings())
        with engine.arrive(1) as made:
            await made.begin([sequence(3)])
            came = [token async for token in made.tokens()]
            await made.end()
        assert now() == 0
        return came

    assert in_virtual_time(main()) == [(0, 0), (0, 1), (0, 2)]


def test_a_hanging_call_holds_its_slot_until_it_is_given_up() -> None:
    async def main() -> None:
        engine = Engine(SimulatorSettings(slots=1, hang=1.0))
        task = asyncio.create_task(call(engine, sequence()))
        await asyncio.sleep(1e6)
        assert (engine.in_flight, engine.running) == (1, 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (engine.in_flight, engine.running, engine.completed) == (0, 0, 0)

    in_virtual_time(main())


def test_a_hanging_call_ends_when_the_server_stops() -> None:
    async def main() -> None:
        engine = Engine(SimulatorSettings(hang=1.0))
        task = asyncio.create_task(call(engine, sequence()))
        await asyncio.sleep(0)
        engine.stop()
        with pytest.raises(Refusal):
            await task
        assert engine.running == 0

    in_virtual_time(main())


@pytest.mark.parametrize(("fault", "status"), [("error_500", 500), ("error_503", 503)])
def test_error_faults_refuse(fault: str, status: int) -> None:
    engine = Engine(SimulatorSettings(**{fault: 1.0}))  # type: ignore[arg-type]
    with pytest.raises(Refusal) as refused:
        engine.arrive(1)
    assert refused.value.status == refused.value.body["error"]["code"] == status
    assert (engine.in_flight, engine.completed) == (0, 0)


def test_a_dead_engine_fails_all_it_has_and_all_to_come() -> None:
    async def main() -> None:
        engine = Engine(SimulatorSettings(slots=1, seconds_per_call=1.0, dead_after=2))
        calls = [asyncio.create_task(call(engine, sequence())) for _ in range(4)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert ends[:2] == [1.0, 2.0]
        assert [getattr(end, "status", None) for end in ends[2:]] == [500, 500]
        assert (engine.dead, engine.running, engine.waiting, engine.in_flight) == (True, 0, 0, 0)
        with pytest.raises(Refusal) as refused:
            engine.arrive(1)
        assert refused.value.status == 500

    in_virtual_time(main())


PLANS = st.lists(
    st.tuples(
        st.floats(0, 5),  # arrives at
        st.lists(st.integers(1, 12), min_size=1, max_size=4),  # tokens of its choices
        st.integers(1, 20),  # tokens of its prompt
        st.integers(0, 3),  # priority
        st.none() | st.floats(0, 5),  # gives up after
    ),
    max_size=12,
)


@given(
    plans=PLANS,
    slots=st.integers(1, 4),
    policy=st.sampled_from(["fcfs", "priority"]),
    load_factor=st.sampled_from([0.0, 0.7]),
    cached=st.booleans(),
)
def test_no_call_is_lost_and_nothing_is_kept(
    plans: list[tuple[float, list[int], int, int, float | None]],
    slots: int,
    policy: str,
    load_factor: float,
    cached: bool,
) -> None:
    settings = SimulatorSettings(
        slots=slots,
        seconds_per_call=0.3,
        seconds_per_prompt_token=0.01,
        seconds_per_token=0.2,
        load_factor=load_factor,
        scheduling_policy=policy,
        block_size=2,
        kv_blocks=20 if cached else None,
        max_model_len=40,
    )

    async def main() -> None:
        engine = Engine(settings)
        over = asyncio.Event()
        began: list[tuple[float, tuple[int, int]]] = []

        async def watch() -> None:
            while not over.is_set():
                assert engine.running <= slots
                assert engine.cache is None or 0 <= engine.cache.usage <= 1 + 1e-9
                await asyncio.sleep(0.05)

        async def one(plan: tuple[float, list[int], int, int, float | None]) -> str:
            arrival, outputs, prompt, priority, patience = plan
            await asyncio.sleep(arrival)
            text = " w" * prompt
            made = [
                EngineSequence(
                    prompt,
                    tuple(" v" for _ in range(output)),
                    max_tokens=output,
                    chain=text_chain(text, 2) if cached else None,
                )
                for output in outputs
            ]
            try:
                async with asyncio.timeout(patience):
                    await call(engine, *made, choices=len(made), priority=priority)
            except TimeoutError:
                return "given up"
            began.extend((sequence.admitted or 0.0, sequence.key) for sequence in made)
            return "answered"

        watcher = asyncio.create_task(watch())
        ends = await asyncio.gather(*map(one, plans))
        over.set()
        await watcher
        assert len(ends) == len(plans)
        assert (engine.in_flight, engine.running, engine.waiting) == (0, 0, 0)
        assert engine.completed == ends.count("answered")
        if engine.cache is not None:
            assert engine.cache.usage == pytest.approx(0)
        if policy == "fcfs":
            assert [key for _, key in sorted(began)] == sorted(key for _, key in began)

    in_virtual_time(main())


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
        ({"scheduling_policy": "lifo"}, "expected fcfs or priority, got 'lifo'"),
        ({"kv_blocks": 100}, "kv_blocks: 100 of 16 tokens hold less than one"),
        ({"spread": float("nan")}, "spread"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SimulatorSettings(**fields)  # type: ignore[arg-type]
