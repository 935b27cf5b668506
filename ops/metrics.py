"""Writes ops/metrics.md, the list of all metrics, from their declarations.

python -m ops.metrics            # write it
python -m ops.metrics --check    # fail if it is not what the code declares
"""

import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from services.runtime.metric_fields import Declared, declared
from services.runtime.metrics import MOST_DATASETS, Metrics

PAGE = Path(__file__).parent / "metrics.md"
_TITLES = {
    "model": "Model calls",
    "society": "The society",
    "line": "From scenarios to samples",
    "kafka": "Broker",
    "store": "Tables in the object store",
    "grpc": "gRPC",
    "process": "The process",
}
_HEAD = f"""# Metrics

Made from `services/runtime/metrics.py` by `python -m ops.metrics`; not edited by hand.

Each replica of a service tells them at `GET /metrics` on its own port (`MATRIX_METRICS__PORT`), in
the text format or as OpenMetrics with exemplars, whichever is asked for, beside `process_*` and
`python_gc_*` of Prometheus' client. `matrix run --watch` tells those of its one process.

Labels are of bounded sets, whatever the size of the society: roles, stages, kinds, reasons, topics,
groups of consumers, methods, servers, and names of datasets, of which the first {MOST_DATASETS} are
told apart (the rest together are `other`). No label names an agent, a group of the society, a
partition or a sample.

Every replica of `instruction_generation` tells the `matrix_dataset_*` gauges, and all tell the
same: take the `max by (dataset)`. Everything else is of one process: add it up.
"""


def metrics() -> Iterator[tuple[str, Declared]]:
    """Return all metrics, each with the part that it belongs to."""
    for part in fields(Metrics):
        for metric, _ in declared(getattr(Metrics(), part.name)):
            yield part.name, metric


def page() -> str:
    """Return the content of the page."""
    lines, before = [_HEAD], ""
    for part, metric in metrics():
        if part != before:
            lines.append(
                f"\n## {_TITLES[part]}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
            )
            before = part
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |\n")
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """Write the page, or check it; return the exit code."""
    if arguments == ["--check"]:
        if PAGE.read_text(encoding="utf-8") != page():
            print("ops/metrics.md is not what the code declares: run python -m ops.metrics")
            return 1
        return 0
    if arguments:
        print(__doc__)
        return 2
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
