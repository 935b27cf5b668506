"""Starts the runner, limits it, listens to it, and tells the service how it ended.

Standard input brings a line of JSON (`Order`), then the solution and the tests; its end means stop.
Standard output is the code's, standard error brings the report: a line of JSON.
"""

import json
import math
import os
import resource
import select
import signal
import sys
import time
from typing import Any

from .kernel import die_with_parent, drop_capabilities
from .landlock import confine_files
from .namespaces import enter_namespaces
from .reports import Records, Report, verdict_of
from .runner import KEY_BYTES, run
from .seccomp import forbid_system_calls
from .units import Unit, packed, units_of
from .usage import too_much

__all__ = ["main"]

POLL_SECONDS = 0.05
READ_BYTES = 1 << 16
SPENT = 0.9
"""Share of the processor time after which a kill is put down to its limit: the kernel's two ways of
counting differ a little."""

Order = dict[str, Any]


def _read(size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(0, size - len(parts))
        if not part:
            os._exit(1)  # the service is gone
        parts += part
    return bytes(parts)


def _read_order() -> Order:
    line = bytearray()
    while not line.endswith(b"\n"):
        line += _read(1)
    order: Order = json.loads(line)
    return order


def _tell(report: Report) -> None:
    os.write(2, b"\n" + json.dumps(report).encode() + b"\n")


def _limit(order: Order) -> None:
    cpu = math.ceil(order["cpu_seconds"])
    limits = {
        resource.RLIMIT_AS: order["memory_bytes"],
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_FSIZE: order["file_bytes"],
        resource.RLIMIT_NOFILE: order["open_files"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for which, value in limits.items():
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def _forget_ourselves() -> None:
    """Take out of the interpreter what only the sandbox needed: its modules, ctypes, its path."""
    for name in list(sys.modules):
        if name.partition(".")[0] in {__package__, "ctypes", "_ctypes"}:
            del sys.modules[name]
    del sys.path[0]
    sys.path_importer_cache.clear()
    sys.argv[:] = [""]


def _become_runner(order: Order, solution: bytes, key: bytes, tasks: int, results: int) -> None:
    """Confine this process and run the code; never returns."""
    try:
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(1, 2)
        os.close(nothing)
        private = order["isolation"] != "rlimits"
        if private:
            # Counted for each user namespace since Linux 5.14; without one, it would be counted
            # for all processes of the service's user on this machine.
            processes = order["threads"]
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        elif not order["readable_files"]:
            confine_files(order["work"])
        forbid_system_calls(private_files=private)
        _forget_ourselves()
        os.write(results, key + b"c0000")
        run(solution.decode("utf-8", "surrogatepass"), key, tasks, results)
    except BaseException as error:
        os.write(results, key + b"x0000" if isinstance(error, OSError) else b"")
        sys.stderr.write(f"{type(error).__name__}: {error}")
        sys.stderr.flush()
    finally:
        os._exit(1)


def _supervise(order: Order) -> None:
    die_with_parent(order["parent"])
    drop_capabilities()
    os.chdir(order["work"])
    _limit(order)
    solution = _read(order["solution"])
    key = os.urandom(KEY_BYTES // 2).hex().encode()
    tasks_read, tasks_write = os.pipe()
    results_read, results_write = os.pipe()
    started = time.monotonic()
    ourselves = os.getpid()
    runner = os.fork()
    if runner == 0:
        os.close(tasks_write)
        os.close(results_read)
        die_with_parent(ourselves)
        _become_runner(order, solution, key, tasks_read, results_write)
    for inherited in (tasks_read, results_write, 1):
        os.close(inherited)
    # Only now: the runner's memory shall not hold them before the solution has been loaded.
    tests = _read(order["tests"]).decode("utf-8", "surrogatepass")
    units: list[Unit] = []
    wrong = ""
    try:
        units = units_of(tests)
        if not any(label for label, _, _ in units):
            wrong = "the tests contain no assertion and no function test_*"
    except Exception as error:
        wrong = f"the tests cannot be compiled: {type(error).__name__}: {error}"
    records = Records(key, units)
    ended = ""
    if not wrong:
        ended = _listen(order, records, packed(units), tasks_write, results_read, started, runner)
    os.kill(runner, signal.SIGKILL)
    _, status, used = os.wait4(runner, 0)
    records.take_rest(results_read)
    cpu = used.ru_utime + used.ru_stime
    report = verdict_of(records, wrong, ended, status, cpu >= SPENT * order["cpu_seconds"])
    _tell({**report, "seconds": time.monotonic() - started})


def _listen(
    order: Order,
    records: Records,
    blob: bytes,
    tasks: int,
    results: int,
    started: float,
    runner: int,
) -> str:
    """Serve the runner until it ends or has to be ended; returns why, empty if it ended itself."""
    os.set_blocking(tasks, False)
    pending = b"%08x" % len(blob) + blob
    inputs = [0, results]
    # Of bubblewrap's file systems in memory the size is bounded, not the number of files.
    looks = order["isolation"] != "namespaces"
    while True:
        if time.monotonic() - started > order["wall_seconds"]:
            return "timeout"
        outputs = [tasks] if pending and records.loaded else []
        ready, writable, _ = select.select(inputs, outputs, [], POLL_SECONDS)
        if 0 in ready and not os.read(0, 1):
            return "killed"
        if results in ready:
            data = os.read(results, READ_BYTES)
            if not data:
                inputs.remove(results)
            elif not records.take(data):
                return "forged"
        if writable:
            try:
                pending = pending[os.write(tasks, pending) :]
            except BrokenPipeError:
                pending = b""
        if looks and (reason := too_much(order, runner)):
            return reason
        if os.waitid(os.P_PID, runner, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return ""


def main() -> None:
    """Run one order; the exit status means nothing, the report does."""
    order = _read_order()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        if order["isolation"] != "namespaces":
            # Within bubblewrap, ids are of its process tree, and it sees to our end itself.
            if order["isolation"] == "bubblewrap":
                order["parent"] = os.getppid()
            _supervise(order)
            return
        die_with_parent(order["parent"])
        enter_namespaces(order["root"], order["work"], order["file_bytes"])
        # The kernel forgot our parent's death when our user changed; and outside we saw its id.
        die_with_parent(order["parent"])
        first = os.fork()
        if first == 0:
            order["parent"] = 0
            _supervise(order)
            os._exit(0)
        for standard in range(3):
            os.close(standard)
        os.waitpid(first, 0)
    except OSError as error:
        _tell({"refused": str(error)})
