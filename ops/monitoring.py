"""The chart's copy of ops/alerts.yaml: Helm packs, and templates read, only files of the chart.

`python -m ops.monitoring` writes it, `--check` says whether it differs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

ALERTS = Path(__file__).parent / "alerts.yaml"
COPY = ALERTS.parents[1] / "helm" / "matrix" / "files" / "alerts.yaml"


def main(arguments: Sequence[str]) -> int:
    """Write the copy, or with `--check` compare it; return the exit code."""
    if list(arguments) == ["--check"]:
        if COPY.is_file() and COPY.read_bytes() == ALERTS.read_bytes():
            return 0
        print(
            "helm/matrix/files/alerts.yaml is no copy of ops/alerts.yaml: "
            "run python -m ops.monitoring"
        )
        return 1
    if arguments:
        print("usage: python -m ops.monitoring [--check]", file=sys.stderr)
        return 2
    COPY.parent.mkdir(exist_ok=True)
    COPY.write_bytes(ALERTS.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
