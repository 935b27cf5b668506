"""What an expression of PromQL asks for: its metrics and their labels; no more of the grammar."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path

from services.runtime.metric_fields import declared
from services.runtime.metrics import Metrics

TARGET_LABELS = frozenset({"job", "namespace", "component", "replica", "role", "instance"})
"""What Prometheus knows of the process that it asks."""
_RECORDING = Path(__file__).parent / "recordings" / "generate-0.32.0" / "metrics.prom"
_SELECTOR = re.compile(
    r"(?<![\w:\"$])((?:matrix_|process_)\w+|up\b(?!:)|[a-z]\w*(?::\w+)+)(?:\{([^}]*)\})?"
)
"""Names of ours, of processes, and those with colons: vLLM's, and what rules record."""
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_SUMMED = re.compile(r"\bby \(([^)]*)\) \(")
_JOINED = re.compile(r"\b(?:on|ignoring|group_left|group_right) \(([^)]*)\)")


def metrics(expression: str) -> set[str]:
    """Return the names of the series that are asked for."""
    return {name for name, _ in _SELECTOR.findall(expression)}


def wrong(expression: str, known: Mapping[str, frozenset[str]]) -> list[str]:
    """Return what an expression asks for that does not exist, in words."""
    told = [f"no metric {name}" for name in sorted(metrics(expression) - set(known))]
    for name, matchers in _SELECTOR.findall(expression):
        told += _unknown(_MATCHER.findall(matchers), [name], known)
    for found in _SUMMED.finditer(expression):
        inside = metrics(_argument(expression, found.end()))
        told += _unknown(_labels(found[1]), inside, known)
    everything = metrics(expression)
    for found in _JOINED.finditer(expression):
        own = [label for label in _labels(found[1]) if label not in TARGET_LABELS]
        if not all(any(label in known.get(name, ()) for name in everything) for label in own):
            told.append(f"no metric of it has all of {found[0]}")
    return told


def _unknown(
    labels: Iterable[str], names: Iterable[str], known: Mapping[str, frozenset[str]]
) -> list[str]:
    return [
        f"{name} has no label {label}"
        for name in names
        for label in labels
        if label not in known.get(name, ()) and label not in TARGET_LABELS
    ]


def _labels(text: str) -> list[str]:
    return [label.strip() for label in text.split(",") if label.strip()]


def _argument(expression: str, start: int) -> str:
    depth = 1
    for end, character in enumerate(expression[start:], start):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return expression[start:end]
    raise ValueError(f"a parenthesis is not closed: {expression}")


def platform_metrics() -> dict[str, frozenset[str]]:
    """Return the labels of the series that the services tell, by name."""
    known: dict[str, frozenset[str]] = {}
    for part in fields(Metrics()):
        for metric, _ in declared(getattr(Metrics(), part.name)):
            labels = frozenset(metric.labels)
            if metric.kind == "histogram":
                known[f"{metric.name}_bucket"] = labels | {"le"}
                known[f"{metric.name}_count"] = known[f"{metric.name}_sum"] = labels
            else:
                known[metric.name] = labels
    return known


def foreign_metrics() -> dict[str, frozenset[str]]:
    """Return those of a recorded vLLM, of Prometheus' client for processes, and Prometheus' own."""
    known: dict[str, frozenset[str]] = {"up": frozenset()}
    for line in _RECORDING.read_text().splitlines():
        if found := re.match(r"((?:vllm:|process_)\w+)(?:\{(.*)\})? ", line):
            labels = frozenset(_MATCHER.findall(found[2] or ""))
            known[found[1]] = known.get(found[1], frozenset()) | labels
    return known
