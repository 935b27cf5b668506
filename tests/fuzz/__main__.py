"""Coverage-guided fuzzing of all targets with atheris: `make fuzz`.

    python -m tests.fuzz --inputs 100000            all targets, each in a process of its own
    python -m tests.fuzz --target profiles FILE...  what was found, once more

Prints a table and fails if any input raised what its subject does not document, hung or ended the
process. Such inputs are kept in `fuzz-crashes/`.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

FOUND = Path("fuzz-crashes")
HANG_SECONDS = 20
"""An input that takes longer counts as a hang."""
MEMORY_MB = 2048
LONGEST_BYTES = 4096


def main() -> int:
    """Fuzz, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all targets together")
    parser.add_argument("--target", help="only this one, in this process")
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", type=Path, help="inputs to be taken by --target")
    given = parser.parse_args()
    if given.files:
        return _replay(given.target, given.files)
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print(
            f"skipped: atheris has no wheel for Python {sys.version.split()[0]} on {sys.platform}"
        )
        return 0
    if given.target:
        _fuzz(atheris, given.target, given.inputs, given.report)
    return _all(given.inputs)


def _replay(name: str, files: list[Path]) -> int:
    from tests.fuzz.targets import TARGETS

    target = next(target for target in TARGETS if target.name == name)
    for file in files:
        target.take(file.read_bytes())
    print(f"{len(files)} inputs taken by {name}")
    return 0


def _all(inputs: int) -> int:
    from tests.fuzz.targets import TARGETS

    FOUND.mkdir(exist_ok=True)
    shares = sum(target.share for target in TARGETS)
    print(f"{'target':<10} {'inputs':>8} {'crashes':>8} {'longest input':>14} {'in all':>8}")
    total = crashes = 0
    for target in TARGETS:
        with tempfile.TemporaryDirectory(prefix="matrix-fuzz-") as folder:
            report = Path(folder) / "report.json"
            wanted = -(-inputs * target.share // shares)
            command = [sys.executable, "-m", "tests.fuzz", f"--target={target.name}"]
            command += [f"--inputs={wanted}", f"--report={report}"]
            began = time.monotonic()
            # What it leaves behind goes with the folder.
            ended = subprocess.run(
                command, capture_output=True, text=True, env=os.environ | {"TMPDIR": folder}
            )
            seconds = time.monotonic() - began
            done = json.loads(report.read_text()) if report.exists() else {}
        taken, failed = done.get("inputs", 0), done.get("crashes", 0)
        longest = f"{1000 * done['longest']:.1f} ms" if done else "-"
        if ended.returncode:  # It hung, ran out of memory, or the interpreter itself ended.
            failed += 1
            print(ended.stderr[-2000:], file=sys.stderr)
        for problem in done.get("problems", []):
            print(problem, file=sys.stderr)
        total, crashes = total + taken, crashes + failed
        print(
            f"{target.name:<10} {taken:>8} {failed:>8} {longest:>14} {seconds:>6.0f} s", flush=True
        )
    print(f"{'all':<10} {total:>8} {crashes:>8}")
    if not any(FOUND.iterdir()):
        FOUND.rmdir()
    return 1 if crashes else 0


def _fuzz(atheris: ModuleType, name: str, inputs: int, report: Path | None) -> None:
    """Fuzz one target; ends the process."""
    with atheris.instrument_imports(include=["services"]):
        from tests.fuzz.targets import TARGETS
    target = next(target for target in TARGETS if target.name == name)
    taken, longest = 0, 0.0
    problems: dict[str, str] = {}
    crashes = 0

    def take(data: bytes) -> None:
        nonlocal taken, longest, crashes
        began = time.perf_counter()
        try:
            target.take(data)
        except Exception as error:
            crashes += 1
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
            if place not in problems:
                FOUND.mkdir(exist_ok=True)
                file = FOUND / f"{name}-{blake2b(data, digest_size=6).hexdigest()}"
                file.write_bytes(data)
                problems[place] = f"{name}: {place}: {error} ({file})"
        longest = max(longest, time.perf_counter() - began)
        taken += 1
        if taken % 1000 == 0 or taken >= inputs:
            done = {"inputs": taken, "crashes": crashes, "longest": longest}
            if report is not None:
                report.write_text(json.dumps(done | {"problems": list(problems.values())}))
            if taken >= inputs:
                os._exit(0)  # The fuzzer itself never returns.

    with tempfile.TemporaryDirectory(prefix="matrix-fuzz-") as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / f"seed{number}").write_bytes(seed)
        limits = [f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MB}"]
        limits += [f"-max_len={LONGEST_BYTES}", f"-artifact_prefix={FOUND}/{name}-"]
        atheris.Setup([name, *limits, corpus], take)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
