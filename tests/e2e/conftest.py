"""A small society in a file, and the command as a user types it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_JOBS = (
    "nurse teacher farmer welder baker electrician lawyer fisher programmer tailor carpenter "
    "driver librarian pharmacist plumber chef miner journalist accountant midwife potter surveyor"
).split()
_PLACES = "Lyon Kisumu Osaka Porto Lima Hanoi Oslo Accra Quito Izmir Turku Pune Cork".split()
_PASTIMES = (
    "repairing old radios",
    "growing tomatoes on the balcony",
    "saving for a bakery oven",
    "learning to swim",
    "caring for an ageing father",
    "organising a street library",
    "restoring a wooden boat",
    "studying for a licence",
    "running a football team",
)

Matrix = Callable[..., "subprocess.CompletedProcess[str]"]


def write_society(path: Path, count: int) -> Path:
    """Write `count` synthetic profiles."""
    lines = []
    for number in range(count):
        job, place = _JOBS[number % len(_JOBS)], _PLACES[(number * 5) % len(_PLACES)]
        pastime = _PASTIMES[(number * 3 + number // 22) % len(_PASTIMES)]
        name = f"{'Amina Bruno Chen Dana Emre Fatou Goran'.split()[number % 7]} {number}"
        profile = {
            "id": f"p{number}",
            "name": name,
            "headline": f"{job} in {place}, {pastime}",
            "description": f"{name} is a {job} in {place} and spends evenings {pastime}.",
            "actions": [f"Asked a neighbour in {place} about {pastime}."],
            "synthetic": True,
        }
        lines.append(json.dumps(profile))
    path.write_text("\n".join(lines) + "\n")
    return path


def command(*arguments: str | int | Path) -> list[str]:
    """Return the command line of `matrix` in this environment."""
    return [sys.executable, "-m", "services.cli", *map(str, arguments)]


@pytest.fixture
def matrix() -> Matrix:
    """Run `matrix` to its end."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def society(tmp_path: Path) -> Path:
    """A file of 60 people."""
    return write_society(tmp_path / "people.jsonl", 60)
