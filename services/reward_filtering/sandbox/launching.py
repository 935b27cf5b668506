"""Commands that start a sandbox's supervisor."""

import os
import shutil
import sys
from pathlib import Path

from services.reward_filtering.sandbox.inside.readable import DEVICES, HIDDEN, readable_paths
from services.reward_filtering.sandbox.inside.readable import standard_library as library
from services.reward_filtering.sandbox.outcomes import Isolation, Limits

__all__ = ["ENVIRONMENT", "bubblewrap", "command", "work_folder"]

HERE = Path(__file__).resolve().parent
BOOT = "import sys; sys.path.insert(0, {path!r}); from inside.supervisor import main; main()"

FLAGS = ("-P", "-s", "-S", "-B", "-u", "-X", "utf8")
"""No path of the service, no user's and no installed packages, no byte code written,
no output held back. Not -I, which
would ignore PYTHONHASHSEED too; nothing else is in the environment."""

WORK = "/work"

ENVIRONMENT = {
    # Equal code has equal outcomes, whatever order its sets are walked in.
    "PYTHONHASHSEED": "0",
    # An arena for each thread would take 64 MiB of address space each.
    "MALLOC_ARENA_MAX": "1",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
}


def bubblewrap() -> str | None:
    """Return the path of `bwrap`, if installed."""
    return shutil.which("bwrap")


def interpreter() -> str:
    """Return the path of the interpreter itself, not of a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


def work_folder(isolation: Isolation, folder: Path) -> str:
    """Return the code's working folder, as the code sees it."""
    return str(folder) if isolation == "rlimits" else WORK


def command(isolation: Isolation, limits: Limits) -> list[str]:
    """Return the command that starts a supervisor."""
    if isolation != "bubblewrap":
        return [interpreter(), *FLAGS, "-c", BOOT.format(path=str(HERE))]
    path = bubblewrap()
    if path is None:
        raise FileNotFoundError("bwrap")
    identity = ["--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"]
    binds: list[str] = []
    for readable in readable_paths():
        binds += ["--ro-bind", readable, readable]
    binds += ["--ro-bind", interpreter(), interpreter()]
    # A shared interpreter keeps its library beside the standard one.
    for shared in Path(library()).parent.glob("libpython*.so*"):
        binds += ["--ro-bind", str(shared), str(shared)]
    for name in HIDDEN:
        if os.path.isdir(hidden := f"{library()}/{name}"):
            binds += ["--tmpfs", hidden, "--remount-ro", hidden]
    for device in DEVICES:
        binds += ["--dev-bind", device, device]
    files = ["--size", str(limits.file_bytes), "--tmpfs", WORK, "--symlink", WORK, "/tmp"]
    inside = ["--ro-bind", str(HERE / "inside"), "/run/inside", "--remount-ro", "/"]
    options = [*identity, "--cap-drop", "ALL", "--die-with-parent", *binds, *files, *inside]
    return [path, *options, "--", interpreter(), *FLAGS, "-c", BOOT.format(path="/run")]
