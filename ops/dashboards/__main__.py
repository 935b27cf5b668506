"""`python -m ops.dashboards` writes Grafana's JSON; with --check it says what differs."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ops.dashboards import grafana
from ops.dashboards.catalogue import DASHBOARDS

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
FOLDERS = (_HERE, _ROOT / "helm" / "matrix" / "dashboards")
"""To import by hand, and for the chart, which reads only its own files."""


def files() -> dict[Path, str]:
    """Return the content of every file that is written here."""
    texts = {f"{dashboard.name}.json": grafana.text(dashboard) for dashboard in DASHBOARDS}
    return {folder / name: text for folder in FOLDERS for name, text in texts.items()}


def differing() -> list[Path]:
    """Return the files that are not what the sources say, and those that no source makes."""
    wanted = files()
    there = {path for folder in FOLDERS for path in folder.glob("*.json")}
    wrong = [path for path, text in wanted.items() if path not in there or path.read_text() != text]
    return wrong + sorted(there - set(wanted))


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` name those that differ; return the exit code."""
    if list(arguments) == ["--check"]:
        for path in (wrong := differing()):
            name = path.relative_to(_ROOT)
            print(f"{name} is not what the sources say: run `python -m ops.dashboards`")
        return 1 if wrong else 0
    if arguments:
        print("usage: python -m ops.dashboards [--check]", file=sys.stderr)
        return 2
    wanted = files()
    for path in differing():
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
