"""TLS and SASL on the way to the broker, by what is in the settings and nothing else."""

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaTimeoutError
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.local.servers.process import LOOPBACK, free_port
from services.local.servers.tansu import Tansu
from services.runtime.errors import Rejected
from services.runtime.kafka_client import client_options, connect
from services.runtime.kafka_tail import read_all
from services.runtime.ports import Record
from services.runtime.settings import KafkaSettings
from tests.integration.brokers import PARTITIONS, fresh_topics, publishing, until
from tests.integration.grpc_certificates import Authority, authority
from tests.integration.secure_gateway import SecureGateway, secure_gateway, server_tls
from tests.integration.servers import wait_for

# kafka-python does not close a socket whose handshake has failed; see `collected`.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

USER, PASSWORD, WRONG = "matrix", "pass-7d41e2", "wrong-58c0aa"
_SOON_MS = 500
"""How long an attempt in vain may take; kafka-python tries several times in it."""


@dataclass(frozen=True)
class Guarded:
    """A broker that sends its clients to a gateway's port."""

    upstream: str
    port: int

    def settings(self, ours: Authority, **more: Any) -> KafkaSettings:
        tls = KafkaSettings(
            bootstrap_servers=f"{LOOPBACK}:{self.port}",
            partitions=PARTITIONS,
            security_protocol="SSL",
            ca_file=ours.file,
        )
        return tls.model_copy(update=more)

    def sasl(self, ours: Authority, password: str) -> KafkaSettings:
        login = {"sasl_username": USER, "sasl_password": SecretStr(password)}
        return self.settings(ours, security_protocol="SASL_SSL", **login)

    @asynccontextmanager
    async def gateway(self, tls: ssl.SSLContext, login: bool) -> AsyncIterator[SecureGateway]:
        users = {USER: PASSWORD} if login else None
        async with secure_gateway(self.upstream, self.port, tls, users) as gateway:
            yield gateway


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Leave no open socket to the collector that a later test, of stricter filters, would meet."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    port = free_port()
    server = Tansu(tmp_path_factory.mktemp("guarded"), advertised=f"{LOOPBACK}:{port}")
    wait_for(server.start())
    yield Guarded(server.bootstrap_servers, port)
    wait_for(server.kill())


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("kafka-tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("kafka-tls") / "theirs")


def certificate(authority: Authority) -> tuple[Path, Path]:
    return authority.issue(LOOPBACK, "localhost")


def consumer(settings: KafkaSettings) -> KafkaConsumer:
    """Connect like every client of ours, but give up soon."""
    return KafkaConsumer(**client_options(settings, "test") | {"bootstrap_timeout_ms": _SOON_MS})


async def attempt(settings: KafkaSettings) -> tuple[BaseException | None, Sequence[Any]]:
    """Connect as services do, until that is refused or they say that they wait; return both."""
    with capture_logs() as said:
        waiting = asyncio.create_task(connect(settings, "a test", lambda: consumer(settings)))
        await until(lambda: waiting.done() or bool(said), "a refusal or a line in the log")
        waiting.cancel()
        await asyncio.wait([waiting])
    return None if waiting.cancelled() else waiting.exception(), said


async def there_and_back(settings: KafkaSettings) -> None:
    (topic,) = await fresh_topics(settings, "guarded")
    async with publishing(settings, topic) as publisher:
        await publisher.publish([Record(topic, f"k{n}", str(n).encode()) for n in range(20)])
    found = {message.key: message.value for message in await read_all(settings, "test", [topic])}
    assert found == {f"k{n}": str(n).encode() for n in range(20)}


async def test_topics_are_made_written_and_read_through_tls(
    guarded: Guarded, ours: Authority
) -> None:
    async with guarded.gateway(server_tls(certificate(ours)), login=False) as gateway:
        await there_and_back(guarded.settings(ours))
        assert gateway.passed > 0


async def test_topics_are_made_written_and_read_after_a_login_by_scram(
    guarded: Guarded, ours: Authority
) -> None:
    async with guarded.gateway(server_tls(certificate(ours)), login=True) as gateway:
        await there_and_back(guarded.sasl(ours, PASSWORD))
        assert set(gateway.logins) == {USER}
        assert (gateway.failed, gateway.turned_away) == (0, [])


async def test_who_has_tls_but_no_login_is_turned_away(guarded: Guarded, ours: Authority) -> None:
    async with guarded.gateway(server_tls(certificate(ours)), login=True) as gateway:
        with pytest.raises(KafkaTimeoutError):
            await asyncio.to_thread(consumer, guarded.settings(ours))
        assert gateway.turned_away


async def test_a_wrong_password_logs_nobody_in_and_is_told_to_nobody(
    guarded: Guarded, ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded.gateway(server_tls(certificate(ours)), login=True) as gateway:
        with caplog.at_level("DEBUG"):
            error, said = await attempt(guarded.sasl(ours, WRONG))
        assert gateway.failed > 0
        assert (gateway.logins, gateway.turned_away) == ([], [])
    assert "[Error 58] SaslAuthenticationFailedError" in caplog.text
    assert WRONG not in f"{error!r} {said} {caplog.text}"


async def test_a_wrong_password_is_refused_and_the_message_says_what_to_look_at(
    guarded: Guarded, ours: Authority
) -> None:
    async with guarded.gateway(server_tls(certificate(ours)), login=True):
        error, _ = await attempt(guarded.sasl(ours, WRONG))
    assert isinstance(error, Rejected)
    assert "SASL_PASSWORD" in str(error)
    assert WRONG not in str(error)


@pytest.mark.parametrize("whose", ["another authority", "another name"])
async def test_a_broker_that_is_not_who_it_should_be_gets_nothing_and_is_refused(
    guarded: Guarded, ours: Authority, theirs: Authority, whose: str
) -> None:
    files = certificate(theirs) if whose == "another authority" else ours.issue("broker.test")
    async with guarded.gateway(server_tls(files), login=True) as gateway:
        error, _ = await attempt(guarded.sasl(ours, PASSWORD))
        assert (gateway.passed, gateway.logins, gateway.failed) == (0, [], 0)
    assert isinstance(error, Rejected)
    assert "UntrustedBroker" in str(error)
    assert "MATRIX_KAFKA__CA_FILE" in str(error)


async def test_a_file_that_is_not_there_is_named(guarded: Guarded, tmp_path: Path) -> None:
    settings = KafkaSettings(
        bootstrap_servers="127.0.0.1:9", security_protocol="SSL", ca_file=tmp_path / "ca.pem"
    )
    with pytest.raises(Rejected, match=r"there is no file .*ca\.pem"):
        await connect(settings, "a test", lambda: consumer(settings))


async def test_no_client_is_made_while_nobody_listens() -> None:
    made: list[bool] = []
    settings = KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{free_port()}")
    with capture_logs() as said:
        waiting = asyncio.create_task(connect(settings, "a test", lambda: made.append(True)))
        await until(lambda: bool(said), "a line in the log")
        waiting.cancel()
        await asyncio.wait([waiting])
    assert "ConnectionRefused" in said[0]["reason"]
    assert not made


async def test_mutual_tls_lets_in_who_shows_a_certificate_and_nobody_else(
    guarded: Guarded, ours: Authority
) -> None:
    tls = server_tls(certificate(ours), client_ca=ours.file)
    cert, key = ours.issue("services.test")
    async with guarded.gateway(tls, login=False) as gateway:
        with pytest.raises(KafkaTimeoutError):
            await asyncio.to_thread(consumer, guarded.settings(ours))
        assert gateway.passed == 0
        await there_and_back(guarded.settings(ours, cert_file=cert, key_file=key))
