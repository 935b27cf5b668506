"""What tracing costs: the steady state of `matrix run` without it, and with 1 % of the traces."""

from collections.abc import Sequence

from tests.bench.bench_saturation import SLOTS, Steady, steady_state
from tests.bench.collecting import collecting
from tests.bench.harness import Row, at_least, at_most

RATIO = 0.01


async def measure(runs: int) -> list[Row]:
    """Measure both, one after the other in each run: machines change while they are measured."""
    plain: list[Steady] = []
    traced: list[Steady] = []
    spans = 0
    for number in range(runs):
        # Neither is always the one that comes first.
        for with_traces in (number % 2 == 0, number % 2 == 1):
            if not with_traces:
                plain.append(await steady_state({"MATRIX_TRACING__ENDPOINT": ""}))
                continue
            async with collecting() as (endpoint, taken):
                settings = {
                    "MATRIX_TRACING__ENDPOINT": endpoint,
                    "MATRIX_TRACING__SAMPLE_RATIO": str(RATIO),
                }
                traced.append(await steady_state(settings))
            spans += sum(taken)
    if not spans:
        raise RuntimeError("the collector got no span: nothing was measured")
    note = f"{spans / runs:,.0f} spans a run, warming up included"
    return [
        Row(
            f"completions/s with {RATIO:.0%} of the traces sent, {SLOTS} slots of 0.25 s",
            "% of those without",
            _shares([s.rate for s in traced], [s.rate for s in plain]),
            "at least 95 %",
            at_least(95),
            "without, completions/s",
            tuple(s.rate for s in plain),
            note,
        ),
        Row(
            "CPU seconds per 1,000 completions, the same runs",
            "% of those without",
            _shares([s.cpu_per_thousand for s in traced], [s.cpu_per_thousand for s in plain]),
            "at most 105 %",
            at_most(105),
            "without, s",
            tuple(s.cpu_per_thousand for s in plain),
        ),
    ]


def _shares(values: Sequence[float], of: Sequence[float]) -> tuple[float, ...]:
    return tuple(100 * value / base for value, base in zip(values, of, strict=True))
