"""What the engine counts, as vLLM does: plain numbers, which a page of metrics is made of."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from services.local.simulator.sequences import EngineSequence

FIRST_TOKEN_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
TOKEN_SECONDS = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
LATENCY_SECONDS = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0),
    *(240.0, 480.0, 960.0, 1920.0, 7680.0),
)
PREEMPTIONS = (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0)
CHOICES = (1.0, 2.0, 5.0, 10.0, 20.0)


class Histogram:
    """Observations in buckets with upper bounds."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value`, so many times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times

    @property
    def cumulative(self) -> list[tuple[str, float]]:
        """(bound, observations up to it), in order; the last bound is +Inf."""
        names = [*map(str, self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))


def token_bounds(limit: int) -> list[float]:
    """Return 1, 2, 5, 10, ... up to `limit` tokens."""
    bounds: list[float] = []
    power = 1
    while power <= limit:
        bounds += [float(step * power) for step in (1, 2, 5) if step * power <= limit]
        power *= 10
    return bounds


class Measurements:
    """Counters and histograms of one engine. A sequence is counted once it has come to its end."""

    def __init__(self, max_model_len: int) -> None:
        tokens = token_bounds(max_model_len)
        self.rejections = 0
        """Calls that found the queue full."""
        self.cache_queries = 0
        """Prompt tokens looked up in the prefix cache, of all sequences that got a slot."""
        self.cache_hits = 0
        """Those of them that it had."""
        self.prompt_tokens = 0
        self.cached_prompt_tokens = 0
        self.generated_tokens = 0
        self.finished_by_reason: Counter[str] = Counter()
        self.prompt = Histogram(tokens)
        self.generation = Histogram(tokens)
        self.most_generated = Histogram(tokens)
        self.choices = Histogram(CHOICES)
        self.max_tokens = Histogram(tokens)
        self.first_token = Histogram(FIRST_TOKEN_SECONDS)
        self.inter_token = Histogram(TOKEN_SECONDS)
        self.per_output_token = Histogram(TOKEN_SECONDS)
        self.latency = Histogram(LATENCY_SECONDS)
        self.queued = Histogram(LATENCY_SECONDS)
        self.inference = Histogram(LATENCY_SECONDS)
        self.prefill = Histogram(LATENCY_SECONDS)
        self.decode = Histogram(LATENCY_SECONDS)
        self.preemptions = Histogram(PREEMPTIONS)
        self.prefilled = Histogram(tokens)

    def looked_up(self, tokens: int, hits: int) -> None:
        """Count a prompt that was looked up in the prefix cache when its sequence got a slot."""
        self.cache_queries += tokens
        self.cache_hits += hits

    def finished(self, sequence: EngineSequence, now: float) -> None:
        """Count a sequence that has come to its end at `now`, in time of the event loop."""
        admitted = sequence.arrived if sequence.admitted is None else sequence.admitted
        prompt, cached, generated = (
            sequence.prompt_tokens,
            sequence.cached_tokens,
            len(sequence.output),
        )
        decode = now - sequence.first_token
        self.prompt_tokens += prompt
        self.cached_prompt_tokens += cached
        self.generated_tokens += generated
        self.finished_by_reason[sequence.finish_reason] += 1
        self.prompt.observe(prompt)
        self.generation.observe(generated)
        if sequence.max_tokens is not None:
            self.max_tokens.observe(sequence.max_tokens)
        self.first_token.observe(sequence.first_token - sequence.arrived)
        gaps = generated - 1
        gap = decode / gaps if gaps > 0 else 0.0
        if gaps > 0:
            self.inter_token.observe(gap, gaps)
        self.per_output_token.observe(gap)
        self.latency.observe(now - sequence.arrived)
        self.queued.observe(admitted - sequence.arrived)
        self.inference.observe(now - admitted)
        self.prefill.observe(sequence.first_token - admitted)
        self.decode.observe(decode)
        self.preemptions.observe(0)
        self.prefilled.observe(prompt - cached)

    def answered(self, sequences: Sequence[EngineSequence]) -> None:
        """Count a request: all choices of a prompt, or one text that was only read."""
        self.choices.observe(len(sequences))
        self.most_generated.observe(max(len(one.output) for one in sequences))
