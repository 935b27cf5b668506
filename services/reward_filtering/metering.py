"""What the metrics count of verdicts and of their rows."""

from collections.abc import Sequence

from services.events import SampleJudged
from services.runtime.metrics import LineMetrics


def count_verdict(metrics: LineMetrics, verdict: SampleJudged, seconds: float) -> None:
    """Count a verdict that came so long after the instruction."""
    dataset, usage = metrics.name(verdict.dataset), verdict.usage
    if verdict.accepted:
        metrics.accepted[dataset, verdict.kind] += 1
    else:
        metrics.rejected[dataset, verdict.kind, verdict.reason] += 1
    metrics.tokens[dataset, "prompt"] += usage.prompt_tokens
    metrics.tokens[dataset, "completion"] += usage.completion_tokens
    metrics.judging_seconds.observe(max(0.0, seconds))


def count_rows(metrics: LineMetrics, dataset: str, judged: Sequence[float], now: float) -> None:
    """Count rows that were committed now, by when the judging of each began."""
    metrics.rows[metrics.name(dataset)] += len(judged)
    for moment in judged:
        metrics.freshness_seconds.observe(max(0.0, now - moment))
