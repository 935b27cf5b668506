"""Hostile solutions: each tries to get out, and the test looks whether it did."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from services.reward_filtering.sandbox import Limits, Sandbox
from tests.integration.sandboxes import SHORT, folder, isolation, mark, refusal, sandbox, verdict

__all__ = ["folder", "isolation", "mark", "sandbox"]


async def refused(sandbox: Sandbox, statements: str, setup: str = "") -> None:
    """Check that each statement raises OSError, or what else says that there is no such thing."""
    lines = "\n".join(
        f"try:\n    {line}\n    done.append({line!r})\nexcept (OSError, RuntimeError): pass"
        for line in statements.strip().splitlines()
    )
    outcome = await verdict(sandbox, f"{setup}\ndone = []\n{lines}", "assert not done, done")
    assert outcome.passed, outcome


async def test_a_fork_bomb_gets_no_process(sandbox: Sandbox) -> None:
    await refused(
        sandbox,
        "os.fork()\nos.posix_spawn('/bin/true', ['true'], {})\nsubprocess.run(['/bin/true'])\n"
        "multiprocessing.get_context('fork').Process(target=print).start()\n"
        "os.execv('/bin/true', ['true'])",
        "import multiprocessing, os, subprocess",
    )
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert (await sandbox.run_tests(bomb, "assert True", SHORT)).verdict == "timeout"


async def test_a_daemon_forked_twice_does_not_come_to_be(sandbox: Sandbox) -> None:
    daemon = (
        "import os, time\n"
        "try:\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0: time.sleep(600)\n"
        "        os._exit(0)\n"
        "except OSError: pass\n"
    )
    assert (await verdict(sandbox, daemon)).passed  # the fixture looks for what is left


async def test_no_connection_arrives(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = server.getsockname()
        await refused(
            sandbox,
            f"socket.create_connection({address}, 1)\n"
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "socket.socket(socket.AF_INET6)\nsocket.socket(socket.AF_UNIX)\n"
            "socket.socket(socket.AF_NETLINK)\nsocket.socketpair(socket.AF_INET)\n"
            "socket.getaddrinfo('localhost', 80, type=socket.SOCK_STREAM) and bind()",
            "import socket\ndef bind(): raise OSError",
        )
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_no_datagram_arrives_at_a_named_socket(sandbox: Sandbox, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        name = f"\0{tmp_path.name}-{os.getpid()}"
        server.bind(name)
        server.setblocking(False)
        await refused(
            sandbox,
            f"a.sendto(b'x', {name!r})\na.connect({name!r})\na.sendmsg([b'x'], [], 0, {name!r})",
            "import socket\na, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
        )
        with pytest.raises(BlockingIOError):
            server.recv(1)


async def test_files_of_the_service_cannot_be_read_or_written(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a credential")
    secret.chmod(0o600)
    await refused(
        sandbox,
        f"open({str(secret)!r}).read()\nopen({str(secret)!r}, 'w').write('x')\n"
        f"open({str(tmp_path / 'new')!r}, 'w').write('x')\nos.truncate({str(secret)!r}, 0)\n"
        f"os.chmod({str(secret)!r}, 0o666)\nos.utime({str(secret)!r})\n"
        f"os.unlink({str(secret)!r})\nos.rename({str(secret)!r}, 'mine')\n"
        f"os.link({str(secret)!r}, 'mine')\nos.mkdir({str(tmp_path / 'made')!r})\n"
        f"os.symlink({str(secret)!r}, 'link') or open('link').read()\n"
        f"open({__file__!r}).read()\nos.listdir({os.path.dirname(__file__)!r})\n"
        "open('/etc/shadow').read()\nopen('/etc/passwd').read()\nos.listdir('/home')\n"
        "open(os.__file__, 'a')\nopen('/usr/lib/new', 'w')\n"
        "os.mkfifo('/tmp/../pipe')\nopen('/dev/mem')\nopen('/dev/sda')",
        "import os",
    )
    assert secret.read_text() == "a credential"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["sandboxes", "secret"]


async def test_without_landlock_files_are_readable_which_has_to_be_accepted(
    tmp_path: Path,
) -> None:
    # The control of the test above: the same attempt, and only the isolation is less.
    if reason := await asyncio.to_thread(refusal, "rlimits"):
        pytest.skip(reason)
    sandbox = Sandbox("rlimits", 1, True, tmp_path)
    assert (await verdict(sandbox, "", f"assert open({__file__!r}).read()")).passed


async def test_nothing_of_other_processes_can_be_read(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_SECRET", "a credential")
    parent = os.getpid()
    await refused(
        sandbox,
        f"open('/proc/{parent}/environ').read()\nopen('/proc/{parent}/cmdline').read()\n"
        f"open('/proc/{parent}/mem', 'rb').read(1)\nos.listdir('/proc/{parent}/fd')\n"
        "open('/proc/self/environ').read()\nopen('/proc/self/mem', 'rb')\n"
        "open(f'/proc/{os.getppid()}/environ').read()\nos.listdir('/proc')",
        "import os",
    )
    tests = "import os\nassert 'PLANTED_SECRET' not in os.environ\nassert len(os.environ) <= 6"
    assert (await verdict(sandbox, "", tests)).passed


async def test_no_signal_reaches_another_process(sandbox: Sandbox) -> None:
    await refused(
        sandbox,
        f"os.kill(os.getppid(), 9)\nos.kill(-1, 9)\nos.kill(0, 9)\nos.killpg(os.getpgid(0), 9)\n"
        f"os.kill({os.getpid()}, 9)\nos.setsid()\nos.setpgid(0, 0)\n"
        f"resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))\n"
        "fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid())\nfcntl.fcntl(1, fcntl.F_SETSIG, 9)\n"
        "os.setpriority(os.PRIO_PROCESS, 0, 19)",
        "import fcntl, os, resource",
    )


@pytest.mark.parametrize("module", ["services", "matrix", "inside", "pytest", "numpy", "grpc"])
async def test_the_projects_modules_cannot_be_imported(sandbox: Sandbox, module: str) -> None:
    tests = f"import sys\nassert {module!r} not in sys.modules\nimport {module}\n"
    outcome = await verdict(sandbox, "", tests)
    assert (outcome.verdict, outcome.tests_passed) == ("error", 1)
    assert "ModuleNotFoundError" in outcome.detail


async def test_ten_gigabytes_are_refused(sandbox: Sandbox) -> None:
    assert (await verdict(sandbox, "x = bytearray(10 << 30)")).verdict == "memory"
    in_a_test = await verdict(sandbox, "", "assert bytearray(10 << 30)")
    assert (in_a_test.verdict, in_a_test.tests_run) == ("memory", 1)
    hoard = "x = []\nwhile True: x.append(bytearray(1 << 20))"
    assert (await verdict(sandbox, hoard)).verdict == "memory"


async def test_memory_cannot_be_had_past_the_limit_by_files(sandbox: Sandbox) -> None:
    await refused(
        sandbox,
        "os.memfd_create('x')\nopen('/dev/shm/x', 'w')\n"
        "multiprocessing.shared_memory.SharedMemory(create=True, size=1)",
        "import multiprocessing.shared_memory, os",
    )


async def test_an_endless_loop_ends_by_processor_time(sandbox: Sandbox) -> None:
    limits = Limits(wall_seconds=120.0, cpu_seconds=1.0)
    outcome = await sandbox.run_tests("while True: pass", "assert True", limits)
    assert (outcome.verdict, outcome.tests_run) == ("timeout", 0)
    assert "processor" in outcome.detail


@pytest.mark.parametrize(
    "endless",
    [
        "import time; time.sleep(1e6)",
        "import threading; threading.Lock().acquire(); threading.Event().wait()",
        "import os\nfor fd in range(64):\n    try: os.close(fd)\n    except OSError: pass\n"
        "import time; time.sleep(1e6)",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "import time; time.sleep(1e6)",
        "import time\nwhile True:\n    try: time.sleep(1e6)\n    except BaseException: pass",
    ],
)
async def test_a_sleep_for_ever_ends_by_wall_time(sandbox: Sandbox, endless: str) -> None:
    assert (await sandbox.run_tests(endless, "assert True", SHORT)).verdict == "timeout"
    tests = f"def test_sleep():\n    {endless!r}\n    exec({endless!r})"
    assert (await sandbox.run_tests("", tests, SHORT)).verdict == "timeout"


async def test_a_gigabyte_printed_ends_the_run(sandbox: Sandbox) -> None:
    flood = "import os\nfor _ in range(1 << 14): os.write({fd}, b'x' * (1 << 16))"
    for fd in (1, 2):
        assert (await verdict(sandbox, flood.format(fd=fd))).verdict == "output"


async def test_a_file_larger_than_allowed_is_not_written(sandbox: Sandbox) -> None:
    await refused(
        sandbox,
        "open('big', 'wb').write(b'x' * (65 << 20))\nos.truncate(os.open('t', 66), 1 << 30)\n"
        "os.posix_fallocate(os.open('f', 66), 0, 1 << 30)",
        "import os",
    )


async def test_many_files_do_not_add_up(sandbox: Sandbox) -> None:
    # Either the file system is full, which the solution is told, or the supervisor sees it.
    many = "for n in range(1000):\n    open(f'{n}', 'wb').write(b'x' * (8 << 20))"
    assert (await verdict(sandbox, many)).verdict in {"files", "error"}
    countless = "import os\nfor n in range(10**6): os.mkdir(f'{n}')"
    expected = "error" if sandbox.isolation == "namespaces" else "files"
    assert (await verdict(sandbox, countless)).verdict == expected


async def test_folders_too_deep_or_closed_are_removed_all_the_same(sandbox: Sandbox) -> None:
    deep = (
        "import os\n"
        "os.mkdir('closed'); os.mkdir('closed/within'); os.umask(0o777); os.mkdir('shut')\n"
        "os.umask(0)\n"
        "for _ in range(3000):\n    os.mkdir('d' * 50); os.chdir('d' * 50)\n"
    )
    outcome = await verdict(sandbox, deep)
    assert outcome.verdict in {"passed", "files", "error"}  # the fixture looks for what is left


async def test_a_thread_bomb_is_limited(sandbox: Sandbox) -> None:
    bomb = (
        "import threading, time\n"
        "threading.stack_size(32768)\n"
        "while True: threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()\n"
    )
    outcome = await sandbox.run_tests(bomb, "assert True", Limits(wall_seconds=5.0))
    expected = {"namespaces": {"error"}, "rlimits": {"threads"}}
    # In bubblewrap, root has as many as fit into its memory.
    assert outcome.verdict in expected.get(
        sandbox.isolation, {"error", "memory", "timeout"} if os.geteuid() == 0 else {"error"}
    ), outcome


async def test_threads_that_are_left_hold_nothing_up(sandbox: Sandbox) -> None:
    left = (
        "import threading, time\n"
        "for _ in range(8): threading.Thread(target=time.sleep, args=(1e6,)).start()"
    )
    assert (await verdict(sandbox, left)).passed


async def test_deep_recursion_fails_or_crashes_in_the_sandbox_only(sandbox: Sandbox) -> None:
    recursion = "import sys\nsys.setrecursionlimit({limit})\ndef f(x): return f(x + 1)\n"
    outcome = await verdict(sandbox, recursion.format(limit=1000), "assert f(0)")
    assert outcome.verdict == "failed"
    assert "RecursionError" in outcome.detail
    native = (
        "import sys\nsys.setrecursionlimit(10**9)\n"
        "class A:\n    def __repr__(self): return repr([self])\n"
    )
    outcome = await verdict(sandbox, native, "assert repr(A())")
    assert outcome.verdict in {"killed", "memory", "failed"}, outcome


async def test_a_crash_is_told_by_its_signal(sandbox: Sandbox) -> None:
    outcome = await verdict(sandbox, "import os\ndef f(): os.kill(os.getpid(), 11)", "assert f()")
    assert outcome.verdict == "killed"
    assert signal.Signals(11).name in outcome.detail
