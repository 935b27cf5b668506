"""Install a CPU build of vLLM into an environment of its own, or say what cannot be had.

    python -m tests.vllm.install DIRECTORY --torch REQUIREMENT --vllm REQUIREMENT

Only what is missing is installed, from wherever pip is set up to look. The exit status is 3 where
something cannot be had; what, and pip's last words on it, is printed and kept in DIRECTORY/missing.
"""

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

CANNOT = 3
"""Exit status where this machine cannot run vLLM."""
MISSING = "missing"
"""File of an environment that says what it lacks."""
_NOT_NEEDED = {"torch", "torchvision", "torchaudio", "torchcodec"}
"""Of vLLM's own requirements: pictures and sound, for which no CPU builds may be had beside torch's
own, and torch itself, which is chosen here."""
_TO_CONVERT = ("accelerate", "gguf>=0.17")
"""What transformers needs to read a GGUF."""
_ASK = """
import importlib.metadata as m, json, sys
def state(name):
    try:
        d = m.distribution(name)
    except m.PackageNotFoundError:
        return None
    return {"version": d.version, "requires": d.requires or []}
print(json.dumps({name: state(name) for name in sys.argv[1:]}))
"""


class CannotInstall(Exception):
    """Something that vLLM needs is nowhere where pip looks, or does not install."""


def python_of(environment: Path) -> Path:
    """Return the interpreter of an environment."""
    return environment / "bin" / "python"


def needed(requires: Iterable[str]) -> list[Requirement]:
    """Return which of a distribution's requirements its server needs on this machine.

    The environment's interpreter is a copy of this one, so that markers are judged by this one.
    """
    parsed = (Requirement(text) for text in requires)
    return [
        each
        for each in parsed
        if each.name.lower() not in _NOT_NEEDED
        and (each.marker is None or each.marker.evaluate({"extra": ""}))
    ]


def install(environment: Path, torch: str, vllm: str) -> str:
    """Install what is missing; return the version of vLLM.

    Raises:
        CannotInstall: with what is missing.
    """
    if not python_of(environment).exists():
        print(f"making {environment}", flush=True)
        venv.create(environment, with_pip=True)
    _ensure(environment, [Requirement(torch)])
    _ensure(environment, [Requirement(vllm)], "--no-deps")
    name = Requirement(vllm).name
    found = _installed(environment, [name])[name]
    assert found is not None  # _ensure has just seen it
    wanted = needed(found["requires"]) + [Requirement(text) for text in _TO_CONVERT]
    _ensure(environment, wanted, *_keeping(environment, torch))
    return str(found["version"])


def _keeping(environment: Path, torch: str) -> list[str]:
    """Return options of pip that keep others from exchanging torch for a build with a GPU's."""
    constraint = environment / "constraint.txt"
    constraint.write_text(f"{torch}\n")
    return ["--constraint", str(constraint)]


def _ensure(environment: Path, wanted: list[Requirement], *options: str) -> None:
    found = _installed(environment, [each.name for each in wanted])
    absent = []
    for each in wanted:
        state = found[each.name]
        if state is None or not each.specifier.contains(state["version"], prereleases=True):
            each.marker = None
            absent.append(str(each))
    if not absent:
        return
    print(f"installing {', '.join(absent)}", flush=True)
    command = [str(python_of(environment)), "-m", "pip", "install", "--quiet"]
    done = subprocess.run(
        [*command, *options, *absent], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-8:])
        raise CannotInstall(f"pip could not install {', '.join(absent)}:\n{last}")


def _installed(environment: Path, names: Iterable[str]) -> dict[str, dict[str, Any] | None]:
    told = subprocess.check_output([str(python_of(environment)), "-c", _ASK, *names], text=True)
    found: dict[str, dict[str, Any] | None] = json.loads(told)
    return found


def main() -> int:
    """Install, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.vllm.install", description=__doc__)
    parser.add_argument("environment", type=Path)
    parser.add_argument("--torch", required=True)
    parser.add_argument("--vllm", required=True)
    given = parser.parse_args()
    missing = given.environment / MISSING
    try:
        version = install(given.environment, given.torch, given.vllm)
    except CannotInstall as error:
        missing.write_text(f"{error}\n")
        print(f"vLLM cannot run here: {error}", file=sys.stderr)
        return CANNOT
    missing.unlink(missing_ok=True)
    print(f"vLLM {version} for processors, in {given.environment}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
