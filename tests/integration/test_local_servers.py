"""Servers as child processes: found ready, ended, never left behind; and what they keep."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from services.local.servers.process import (
    ServerProcess,
    answers,
    free_port,
    free_ports,
    wheel_program,
)
from services.local.servers.seaweedfs import SeaweedFS
from services.local.servers.tansu import Tansu
from services.runtime.errors import Rejected, Retryable
from services.runtime.object_store import Folder, delta_options, prepare_bucket
from tests.integration.servers import CREDENTIALS, fresh_name, wait_for

HTTP = "import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler)"
SERVES = HTTP + ".serve_forever()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SERVES


def python(code: str, log: Path, port: int) -> ServerProcess:
    command = [sys.executable, "-c", code.format(port=port)]
    return ServerProcess("the server", command, log, answers(port))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "server.log"


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while alive(pid):  # noqa: ASYNC110 - another process' state
            await asyncio.sleep(0.01)


async def test_a_server_is_ready_when_its_port_answers_and_gone_after_stop(log: Path) -> None:
    server = python(SERVES, log, port=free_port())
    assert (server.pid, server.exit_code) == (None, None)
    await server.start()
    pid = server.pid
    assert pid is not None
    assert os.getpgid(pid) == pid != os.getpgid(0)
    with pytest.raises(Rejected, match=f"runs already as process {pid}"):
        await server.start()
    await server.stop()
    assert (server.pid, server.exit_code) == (None, -signal.SIGTERM)
    await server.stop()
    await server.start()
    await server.kill()
    assert await server.wait() == server.exit_code == -signal.SIGKILL


async def test_one_that_ignores_sigterm_is_killed_after_the_grace(log: Path) -> None:
    server = python(DEAF, log, port=free_port())
    await server.start()
    await server.stop(grace_seconds=0.1)
    assert server.exit_code == -signal.SIGKILL


def test_a_server_that_dies_at_its_start_is_rejected_with_its_last_words(log: Path) -> None:
    log.parent.mkdir()
    log.write_text("words of an earlier process\n")
    code = "import sys; print(*range(99), sep='\\n'); sys.exit('no such volume')"
    server = python(code, log, port=free_port())
    with pytest.raises(Rejected, match="the server ended with code 1") as caught:
        wait_for(server.start())
    assert "no such volume" in str(caught.value)
    assert "\n50\n" not in str(caught.value)
    assert "earlier" not in str(caught.value)
    assert log.read_text().startswith("words of an earlier process\n")


async def test_a_program_that_is_not_there_is_rejected(log: Path) -> None:
    server = ServerProcess("the server", ["/no/such/program"], log, answers(free_port()))
    with pytest.raises(Rejected, match="no/such/program"):
        await server.start()


async def test_a_server_that_is_never_ready_is_killed_at_the_deadline(log: Path) -> None:
    server = python("import time; print('warming up', flush=True); time.sleep(60)", log, 1)
    with pytest.raises(Retryable, match=r"not ready within 0\.5 s"):
        await server.start(deadline_seconds=0.5)
    assert server.exit_code == -signal.SIGKILL


async def test_a_start_that_is_cancelled_leaves_no_process(log: Path) -> None:
    server = python("import time; time.sleep(60)", log, 1)
    starting = asyncio.create_task(server.start())
    while server.pid is None:  # noqa: ASYNC110 - another process' state
        await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert server.exit_code == -signal.SIGKILL


async def test_a_port_that_another_server_holds_is_not_taken_for_ready(log: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = python(SERVES, log, port=other.getsockname()[1])
        with pytest.raises(Rejected, match="something answers in its place already"):
            await server.start()
    assert server.pid is None


@pytest.fixture
def usual_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MATRIX_LOCAL_PORTS", raising=False)


@pytest.mark.usefixtures("usual_ports")
def test_free_ports_differ_and_leave_outgoing_connections_theirs() -> None:
    # So many that ports 10,000 apart are among any of them, but for this rule.
    ports = free_ports(2_000, also=[10_000])
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len({*ports, *(port + 10_000 for port in ports)}) == 4_000
    assert max(ports) + 10_000 < first_outgoing


@pytest.mark.usefixtures("usual_ports")
def test_a_port_in_use_or_whose_second_port_is_in_use_is_not_free() -> None:
    port = free_port()
    for taken in (port, port + 10_000):
        with socket.create_server(("127.0.0.1", taken)):
            assert port not in free_ports(2_000, also=[10_000])


def test_ports_come_from_the_range_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIX_LOCAL_PORTS", "12000-12099")
    assert set(free_ports(20)) <= set(range(12_000, 12_100))
    with pytest.raises(Retryable, match="of 200 ports are free"):
        free_ports(200)
    for wrong in ("12000", "12099-12000", "80-90", "a-b", "12000-99999"):
        monkeypatch.setenv("MATRIX_LOCAL_PORTS", wrong)
        with pytest.raises(Rejected, match=f"MATRIX_LOCAL_PORTS is '{wrong}'"):
            free_ports(1)


def test_a_missing_wheel_is_rejected_with_what_installs_it() -> None:
    with pytest.raises(Rejected, match=r"pip install 'matrix-society\[local\]'"):
        wheel_program("no-such-wheel", "server")


PARENT = """
import asyncio, sys
from pathlib import Path
from services.local.servers.process import ServerProcess, answers, free_port
from services.local.servers.tansu import Tansu

async def main():
    port = free_port()
    tansu = Tansu(Path(sys.argv[1]))
    code = f"import http.server as h; h.HTTPServer(('127.0.0.1', {port}), None).serve_forever()"
    python = ServerProcess("p", [sys.executable, "-c", code], Path(sys.argv[1], "p"), answers(port))
    await tansu.start()
    await python.start()
    print(tansu.process.pid, python.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_servers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert [alive(pid) for pid in children] == [True, True]
    parent.kill()
    parent.communicate()
    for child in children:
        wait_for(gone(child))


def test_credentials_stay_out_of_command_lines_logs_and_the_reach_of_others(
    seaweedfs: SeaweedFS, tansu: Tansu
) -> None:
    config = seaweedfs.directory / "s3.json"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert CREDENTIALS.secret_key in config.read_text()
    for process in (seaweedfs.process, tansu.process):
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes() + process.log.read_bytes()
        for secret in (CREDENTIALS.access_key, CREDENTIALS.secret_key):
            assert secret.encode() not in shown
    assert CREDENTIALS.secret_key not in repr(CREDENTIALS) + repr(seaweedfs.settings("b"))


async def test_the_object_store_listens_on_loopback_and_on_its_own_ports_only(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    second = SeaweedFS(tmp_path, CREDENTIALS)
    await second.start()
    try:
        for server in (seaweedfs, second):
            own = {port for base in server.ports for port in (base, base + 10_000)}
            found = listening(server.process)
            assert found
            assert {host for host, _ in found} == {"127.0.0.1"}
            assert {port for _, port in found} <= own
    finally:
        await second.kill()
    left = [path.name for path in Path("/tmp").glob("seaweedfs-*.sock")]  # noqa: ASYNC240
    assert not [port for port in second.ports if any(str(port) in name for name in left)]


def listening(process: ServerProcess) -> list[tuple[str, int]]:
    """The TCP addresses on which a process listens."""
    fds = Path(f"/proc/{process.pid}/fd").iterdir()
    sockets = {os.readlink(fd) for fd in fds}
    found = []
    for table, width in (("tcp", 8), ("tcp6", 32)):
        for line in Path(f"/proc/{process.pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                host, port = local.split(":")
                assert len(host) == width
                quads = bytes.fromhex(host)[::-1]
                found.append((".".join(map(str, quads)), int(port, 16)))
    return found


async def test_the_object_store_keeps_what_it_took_over_a_kill(tmp_path: Path) -> None:
    server = SeaweedFS(tmp_path, CREDENTIALS)
    await server.start()
    try:
        store = server.settings("kept")
        await prepare_bucket(store)
        folder = Folder(store.url, delta_options(store))
        folder.write("a", b"1")
        await server.kill()
        await server.start()
        # It takes requests before its volumes are there, and says "internal error" until then.
        async with asyncio.timeout(60):
            while True:
                try:
                    assert folder.read("a") == b"1"
                    break
                except Retryable:
                    await asyncio.sleep(0.2)
    finally:
        await server.kill()


def produce(address: str, topic: str, values: range) -> None:
    producer = KafkaProducer(bootstrap_servers=address, acks="all", linger_ms=20)
    try:
        sent = [producer.send(topic, str(value).encode(), partition=0) for value in values]
        for future in sent:
            future.get(timeout=20)
    finally:
        producer.close()


def consume(address: str, topic: str, count: int) -> list[int]:
    consumer = KafkaConsumer(bootstrap_servers=address, consumer_timeout_ms=20_000)
    try:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek_to_beginning()
        return [int(next(consumer).value) for _ in range(count)]
    finally:
        consumer.close()


async def test_a_killed_broker_on_the_same_port_still_has_every_acknowledged_message(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    log = seaweedfs.settings(fresh_name("log"))
    await prepare_bucket(log, versioned=False)
    broker = Tansu(tmp_path, log)
    await broker.start()
    try:
        address, topic = broker.bootstrap_servers, fresh_name("topic")
        admin = KafkaAdminClient(bootstrap_servers=address)
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
        admin.close()
        for round_ in range(3):
            produced = range(round_ * 100, round_ * 100 + 100)
            await asyncio.to_thread(produce, address, topic, produced)
            await broker.kill()
            await broker.start()
            assert broker.bootstrap_servers == address
        assert await asyncio.to_thread(consume, address, topic, 300) == list(range(300))
    finally:
        await broker.kill()
