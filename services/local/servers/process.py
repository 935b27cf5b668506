"""A server as a child process: started, found ready, stopped, and never left behind."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from services.runtime.errors import Rejected, Retryable
from services.runtime.storage_errors import storage_errors

LOOPBACK = "127.0.0.1"
Probe = Callable[[], Awaitable[bool]]
"""Says whether a server answers."""

_LOG_LINES = 15
_EXIT_CHECK_SECONDS = 0.02
_PORTS = range(10_000, 22_000)
"""Below the ranges that systems take outgoing ports from, also when 10,000 is added.

From within those ranges, a client that keeps dialling a stopped server on this machine can be
given the server's port as its own: it is then connected to itself, and the port is taken.
"""
PORTS_VARIABLE = "MATRIX_LOCAL_PORTS"
"""Takes another range, as 12000-12999: two who choose at the same moment may choose the same."""

# The kernel's order to kill us when the parent dies survives `exec`. Given by a launcher instead
# of `preexec_fn`, which may deadlock in a process with threads. PR_SET_PDEATHSIG is 1.
_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent died before this server began")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]} cannot be started: {error}")
"""


class ServerProcess:
    """A child process that serves, in a process group of its own.

    On Linux it is killed when this process dies, however that happens (elsewhere it then stays).
    The kernel counts the end of the *thread* that started it as that death: start servers from the
    main thread. Unlike asyncio's own children, one may be used from several event loops in turn.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        ready: Probe,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a server without starting it.

        Args:
            name: What error messages call it.
            command: The program's path and its arguments; everyone on the machine can read them.
            log: Takes what it prints, after what is there already.
            ready: Says whether the server answers.
            environment: All of its variables; those of this process when None.
        """
        self.name = name
        self.log = log
        self._command = list(command)
        self._ready = ready
        self._environment = environment
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Of the running process; None when there is none."""
        return self._child.pid if self._child and self._child.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """Of the last process, -9 when a signal 9 ended it; None while it runs or never ran."""
        return self._child.poll() if self._child else None

    async def start(self, deadline_seconds: float = 30.0) -> None:
        """Start the process and wait until it is ready.

        Raises:
            Rejected: It runs already, cannot be started, or died; with the last lines of its log.
            Retryable: It was not ready in time and was killed.
        """
        if self.pid is not None:
            raise Rejected(f"{self.name} runs already as process {self.pid}; stop it first")
        if await self._ready():
            raise Rejected(
                f"{self.name}: something answers in its place already; stop that or use other ports"
            )
        self._child = self._spawn()
        try:
            async with asyncio.timeout(deadline_seconds):
                while not await self._ready():
                    self._check_alive()
                    await asyncio.sleep(_EXIT_CHECK_SECONDS)
            self._check_alive()
        except TimeoutError:
            await self.kill()
            raise Retryable(
                f"{self.name} was not ready within {deadline_seconds:g} s; {self._last_words()}"
            ) from None
        except BaseException:
            await self.kill()
            raise

    async def wait(self) -> int:
        """Wait for the process to end and return its exit code.

        Raises:
            Rejected: It was never started.
        """
        if self._child is None:
            raise Rejected(f"{self.name} was never started")
        # Looking is all that works in any event loop and in any thread.
        while (code := self._child.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(_EXIT_CHECK_SECONDS)
        return code

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """End the process: SIGTERM, and SIGKILL when it is still there after the grace."""
        if self._child is None or self.pid is None:
            return
        self._child.terminate()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self.wait()
        finally:
            await self._kill_group(self._child.pid)

    async def kill(self) -> None:
        """End the process and all that it started by SIGKILL; returns when it is gone."""
        if self._child is not None and self.pid is not None:
            await self._kill_group(self._child.pid)

    async def _kill_group(self, leader: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
        await self.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = self._command
        if sys.platform == "linux":
            command = [sys.executable, "-ISc", _LAUNCHER, str(os.getpid()), *command]
        with storage_errors(self.log):
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self._log_start = log.tell()
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    # A group of its own, so that Ctrl-C reaches us alone and we end it in order.
                    start_new_session=True,
                )

    def _check_alive(self) -> None:
        if (code := self.exit_code) is not None:
            raise Rejected(f"{self.name} ended with code {code}; {self._last_words()}")

    def _last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 8192))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join([f"the end of {self.log}:", *lines[-_LOG_LINES:]])


def answers(port: int, host: str = LOOPBACK) -> Probe:
    """Return a probe that asks whether a TCP port takes connections."""

    async def probe() -> bool:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
        return False

    return probe


def free_ports(count: int, also: Sequence[int] = ()) -> list[int]:
    """Return `count` different loopback ports on which nothing listens.

    Args:
        count: Ports wanted.
        also: Distances: port + distance is free too, and none of the others, for servers that take
            a second port by a rule.

    Raises:
        Rejected: The environment names a range that is none.
        Retryable: There are not that many.
    """
    ports = _ports()
    found, taken = list[int](), set[int]()
    for port in random.sample(ports, len(ports)):
        if len(found) == count:
            break
        needed = {port + more for more in (0, *also)}
        if not needed & taken and all(map(_is_free, needed)):
            found.append(port)
            taken |= needed
    if len(found) < count:
        raise Retryable(f"only {len(found)} of {count} ports are free; end other servers")
    return found


def _ports() -> range:
    given = os.environ.get(PORTS_VARIABLE, "")
    if not given:
        return _PORTS
    first, _, last = given.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 1024 <= int(first) <= int(last) <= 55_535):
        raise Rejected(
            f"{PORTS_VARIABLE} is {given!r}: give a first and a last port from 1024 to 55535, "
            "as 12000-12999"
        )
    return range(int(first), int(last) + 1)


def free_port() -> int:
    """Return one port as `free_ports` does."""
    return free_ports(1)[0]


def wheel_program(distribution: str, name: str) -> Path:
    """Return the path of a program that comes in a wheel.

    Raises:
        Rejected: The wheel is not installed, or has no such program for this machine.
    """
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        files = []
    for path in (Path(str(file.locate())) for file in files if file.name == name):
        if os.access(path, os.X_OK):
            return path.resolve()
    raise Rejected(
        f"the program {name} of the package {distribution} is not installed; "
        "pip install 'matrix-society[local]', or name an existing server instead"
    )


def inherited_environment() -> dict[str, str]:
    """Return the variables that any program needs, and none that would configure a server."""
    names = ("PATH", "HOME", "TMPDIR", "LANG")
    return {name: os.environ[name] for name in names if name in os.environ}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
