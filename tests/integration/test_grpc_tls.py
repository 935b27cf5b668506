"""TLS and mutual TLS between real servers and clients."""

import hashlib
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
from pydantic import SecretStr

from services.runtime.errors import MatrixError, Rejected, Retryable
from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_server import GrpcServer
from services.runtime.grpc_statuses import explained
from services.runtime.peers import Peers, new_replica
from services.runtime.settings import GrpcSettings
from tests.integration.grpc_certificates import Authority, authority
from tests.integration.grpc_probe import SERVICE, ask, echo, probe, refusal, serving

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "theirs")


def tls(ours: Authority) -> GrpcSettings:
    cert, key = ours.issue("127.0.0.1", "localhost")
    return GrpcSettings(cert_file=cert, key_file=key)


def mutual(ours: Authority, callers: str = "") -> GrpcSettings:
    path = ours.folder / "callers.toml"
    path.write_text(callers)
    given = {"callers_file": path} if callers else {}
    return tls(ours).model_copy(update={"client_ca_file": ours.file, **given})


async def failure(address: str, access: Access | None) -> MatrixError:
    async with open_channel(address, access) as channel:
        with pytest.raises(MatrixError) as caught, explained(address):
            await ask(channel)(b"x", timeout=10)
    return caught.value


async def test_tls_serves_who_trusts_the_authority_and_tells_the_others_what_to_check(
    ours: Authority, theirs: Authority
) -> None:
    async with serving(probe(echo), tls(ours)) as server:
        access = Access(ca_file=ours.file, token=SecretStr("a-token"))
        async with open_channel(server.address, access) as channel:
            assert await ask(channel)(b"x") == b"x"
        stranger = await failure(server.address, Access(ca_file=theirs.file))
        assert isinstance(stranger, Retryable)
        assert "ca_file" in str(stranger)
        plain = await failure(server.address, None)
        assert isinstance(plain, Retryable)
        assert server.address in str(plain)


async def test_a_server_is_only_who_its_certificate_says(ours: Authority) -> None:
    cert, key = ours.issue("agent-state.test")
    async with serving(probe(echo), GrpcSettings(cert_file=cert, key_file=key)) as server:
        access = Access(ca_file=ours.file)
        assert "name in the certificate" in str(await failure(server.address, access))
        async with open_channel(server.address, access, "agent-state.test") as channel:
            assert await ask(channel)(b"x") == b"x"


async def test_mutual_tls_serves_only_who_shows_a_certificate_of_the_authority(
    ours: Authority, theirs: Authority
) -> None:
    async with serving(probe(echo), mutual(ours)) as server:
        cert, key = ours.issue("client.test")
        access = Access(ca_file=ours.file, cert_file=cert, key_file=key)
        async with open_channel(server.address, access) as channel:
            assert await ask(channel)(b"x") == b"x"
        cert, key = theirs.issue("client.test")
        for refused in (
            Access(ca_file=ours.file),
            replace(access, cert_file=cert, key_file=key),
        ):
            assert isinstance(await failure(server.address, refused), Retryable)


async def test_a_caller_is_known_by_a_name_in_its_certificate(ours: Authority) -> None:
    callers = (
        "[[callers]]\nname = 'by-san'\ncertificate = 'reader.test'\npermissions = ['read']\n"
        "[[callers]]\nname = 'by-cn'\ncertificate = 'Operator'\npermissions = ['operate']\n"
    )
    permissions = {f"/{SERVICE}/Ask": "read"}
    known = mutual(ours, callers)
    async with serving(probe(echo), known, permissions=permissions) as server:
        for issued, expected in (
            (ours.issue("reader.test"), None),
            (ours.issue("other.test", common_name="Operator"), None),
            (ours.issue("nobody.test"), Code.UNAUTHENTICATED),
            (ours.issue("xreader.test"), Code.UNAUTHENTICATED),
        ):
            access = Access(ours.file, *issued)
            async with open_channel(server.address, access) as channel:
                if expected is None:
                    assert await ask(channel)(b"x") == b"x"
                else:
                    assert (await refusal(ask(channel)(b"x")))[0] is expected
        wrong_token = Access(ours.file, *ours.issue("reader.test"), token=SecretStr("unknown"))
        async with open_channel(server.address, wrong_token) as channel:
            assert (await refusal(ask(channel)(b"x")))[0] is Code.UNAUTHENTICATED


async def test_replicas_reach_each_other_by_name_with_certificate_and_token(
    ours: Authority,
) -> None:
    token = "replica-token-0123456789abcdef"
    digest = hashlib.sha256(token.encode()).hexdigest()
    callers = (
        f"[[callers]]\nname = 'replicas'\ntoken_sha256 = '{digest}'\npermissions = ['operate']\n"
    )
    # As in a cluster: the certificate names the service, and is the client's own too.
    cert, key = ours.issue("localhost")
    files = {"cert_file": cert, "key_file": key, "ca_file": ours.file}
    settings = mutual(ours, callers).model_copy(update={**files, "token": SecretStr(token)})
    other = new_replica()
    async with serving(probe(echo), settings, replica=other) as server:
        place = settings.model_copy(update={"peers": f"dns:///localhost:{server.port}"})
        peers, stranger, itself = (
            Peers(place, new_replica()),
            Peers(place.model_copy(update={"token": SecretStr("wrong")}), new_replica()),
            Peers(place.model_copy(update={"token": SecretStr("wrong")}), other),
        )
        try:
            assert await peers.first(ask, b"x") == b"x"
            with pytest.raises(Retryable, match=r"1 of 1 .* does not know this caller"):
                await stranger.first(ask, b"x")
            # Whether a replica meets itself does not depend on its rights.
            assert await itself.gather(ask, b"x") == []
        finally:
            for each in (peers, stranger, itself):
                await each.close()


def test_a_token_for_replicas_over_plain_connections_is_refused_at_the_start() -> None:
    settings = GrpcSettings(peers="agent-state.matrix.svc:50051", token=SecretStr("planted-1"))
    with pytest.raises(Rejected, match=r"MATRIX_GRPC__PEERS.*in the clear") as caught:
        Peers(settings, new_replica())
    assert "planted-1" not in str(caught.value)


def test_files_that_do_not_go_together_are_refused_at_the_start(
    ours: Authority, tmp_path: Path
) -> None:
    cert, key = ours.issue("one.test")
    _, other_key = ours.issue("two.test")
    (tmp_path / "empty.pem").write_text("")
    for settings, words in (
        (GrpcSettings(cert_file=cert), "cert_file without key_file"),
        (GrpcSettings(key_file=key), "key_file without cert_file"),
        (GrpcSettings(cert_file=cert, key_file=other_key), "KEY_VALUES_MISMATCH"),
        (GrpcSettings(cert_file=tmp_path / "none.pem", key_file=key), "none.pem: No such file"),
        (GrpcSettings(cert_file=tmp_path / "empty.pem", key_file=key), "no PEM"),
        (GrpcSettings(client_ca_file=ours.file), "client_ca_file without"),
    ):
        with pytest.raises(Rejected, match=words):
            GrpcServer(settings, [probe(echo)])
