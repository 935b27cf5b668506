"""Measure all, or what is named: `make bench`.

    python -m tests.bench                        every measurement
    python -m tests.bench saturation grouping    these
    python -m tests.bench --list

Each measurement is a module `bench_NAME` with `async def measure(runs: int) -> list[Row]`, and runs
in a process of its own. Prints one table, and writes what it shows to `tests/bench/results/`, one
file a measurement. The exit status tells whether everything could be measured, not whether the
goals are met: machines differ.
"""

import argparse
import asyncio
import importlib
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.harness import Row
from tests.bench.machine import described, machine

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NAMES = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main() -> int:
    """Measure, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; medians are shown")
    parser.add_argument("--list", action="store_true", help="name the measurements and end")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the results")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.list:
        print("\n".join(NAMES))
        return 0
    if wrong := set(given.names) - set(NAMES):
        parser.error(f"no measurement {', '.join(sorted(wrong))}: there are {', '.join(NAMES)}")
    if given.runs < 1:
        parser.error(f"--runs {given.runs}: at least 1")
    if given.alone:
        _measure(given.names[0], given.runs, given.out)
        return 0
    return _all(given.names or NAMES, given.runs, given.out)


def _measure(name: str, runs: int, out: Path) -> None:
    module = importlib.import_module(f"tests.bench.bench_{name}")
    found, begun = machine(), time.monotonic()
    rows: list[Row] = asyncio.run(module.measure(runs))
    out.mkdir(parents=True, exist_ok=True)
    result = {
        "measurement": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_seconds": round(time.monotonic() - begun, 1),
        "machine": found,
        "rows": [row.as_json() for row in rows],
    }
    (out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _all(names: list[str], runs: int, out: Path) -> int:
    console = Console(width=max(Console().width, 120))
    failed, results = [], []
    for name in names:
        console.print(f"[dim]measuring {name} ...[/dim]")
        command = [sys.executable, "-m", "tests.bench", name, "--alone", "--runs", str(runs)]
        if subprocess.run([*command, "--out", str(out)], check=False).returncode:
            failed.append(name)
        else:
            results.append(json.loads((out / f"{name}.json").read_text()))
    if results:
        console.print(described(results[0]["machine"]), highlight=False)
        console.print(_table(results))
    if failed:
        console.print(f"could not be measured: {', '.join(failed)}", style="red")
    return bool(failed)


def _table(results: list[dict[str, Any]]) -> Table:
    table = Table("what", "median", "of runs", "compared with", "goal", "", show_lines=True)
    marks = {True: "[green]reached[/green]", False: "[red]missed[/red]", None: ""}
    for result in results:
        for row in result["rows"]:
            compared = row["baseline"]
            if row["baseline_median"] is not None:
                compared += f": {row['baseline_median']:.4g}"
            table.add_row(
                row["name"] + (f"\n[dim]{row['note']}[/dim]" if row["note"] else ""),
                f"{row['median']:.4g} {row['unit']}",
                " ".join(f"{value:.4g}" for value in row["values"]),
                compared,
                row["goal"],
                marks[row["reached"]],
            )
    return table


if __name__ == "__main__":
    sys.exit(main())
