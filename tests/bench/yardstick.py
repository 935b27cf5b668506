"""k-means-constrained, the library that the paper's grouping is done with, as a yardstick.

It pins an old protobuf (by way of ortools), so it never enters our environment: it is installed
into `.venv-bench` and runs in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.agent_state.grouping import Vectors

PACKAGE = "k-means-constrained==0.9.1"
_VENV = Path(__file__).parents[2] / ".venv-bench"
_PROGRAM = """
import json, sys, time
import numpy as np
from k_means_constrained import KMeansConstrained
points, k, least, most, seed = np.load(sys.argv[1]), *map(int, sys.argv[2:])
begun = time.monotonic(), time.process_time()
model = KMeansConstrained(k, size_min=least, size_max=most, n_init=1, random_state=seed, n_jobs=1)
labels = model.fit_predict(points)
taken = time.monotonic() - begun[0], time.process_time() - begun[1]
print(json.dumps({"labels": labels.tolist(), "seconds": taken[0], "cpu_seconds": taken[1]}))
"""


class NotHere(Exception):
    """The library cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """What the library made."""

    parts: tuple[tuple[int, ...], ...]
    seconds: float
    cpu_seconds: float


def install() -> None:
    """Have the library in an environment of its own.

    Raises:
        NotHere: it cannot be installed.
    """
    python = _VENV / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(_VENV)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--only-binary", ":all:", PACKAGE])


def grouped(points: Vectors, k: int, min_size: int, max_size: int, seed: int) -> Grouped:
    """Return the clusters that the library makes of `points` with k-means++ seeds, once.

    Raises:
        NotHere: it failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "points.npy"
        np.save(file, points)
        given = map(str, (file, k, min_size, max_size, seed))
        made = json.loads(_run([str(_VENV / "bin" / "python"), "-c", _PROGRAM, *given]))
    parts: list[list[int]] = [[] for _ in range(k)]
    for row, label in enumerate(made["labels"]):
        parts[label].append(row)
    return Grouped(tuple(map(tuple, parts)), made["seconds"], made["cpu_seconds"])


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise NotHere(f"no {PACKAGE} here: {said.strip().splitlines()[-1]}") from error
