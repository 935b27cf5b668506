"""What asks a server with TLS for its health, as a pod's probe does."""

import asyncio
from pathlib import Path

import pytest

from services.runtime.grpc_health import LIVENESS
from services.runtime.grpc_probe import ask_health, main
from services.runtime.settings import GrpcSettings
from tests.integration.grpc_certificates import Authority, authority
from tests.integration.grpc_probe import probe, serving

NAME = "matrix-agent-state.matrix.svc"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("probe") / "ours")


def environment(ours: Authority, address: str, cert: Path, key: Path) -> dict[str, str]:
    return {
        "MATRIX_GRPC__PORT": address.rpartition(":")[2],
        "MATRIX_GRPC__CA_FILE": str(ours.file),
        "MATRIX_GRPC__CERT_FILE": str(cert),
        "MATRIX_GRPC__KEY_FILE": str(key),
    }


async def test_a_probe_tells_a_ready_server_from_one_that_only_lives(ours: Authority) -> None:
    cert, key = ours.issue(NAME)
    settings = GrpcSettings(cert_file=cert, key_file=key, client_ca_file=ours.file)
    async with serving(probe(), settings) as server:
        known = environment(ours, server.address, cert, key)
        server.set_ready(True)
        assert await asyncio.to_thread(main, [NAME], known) == 0
        server.set_ready(False)
        assert await asyncio.to_thread(main, [NAME], known) == 1
        assert "not ready" in await asyncio.to_thread(ask_health, known, NAME)
        assert await asyncio.to_thread(main, [NAME, LIVENESS], known) == 0


async def test_a_probe_says_why_it_cannot_ask(ours: Authority, tmp_path: Path) -> None:
    cert, key = ours.issue(NAME)
    settings = GrpcSettings(cert_file=cert, key_file=key, client_ca_file=ours.file)
    async with serving(probe(), settings) as server:
        known = environment(ours, server.address, cert, key)
        wrong = await asyncio.to_thread(ask_health, known, "other.matrix.svc")
        assert "does not answer" in wrong
        without = {**known, "MATRIX_GRPC__CERT_FILE": "", "MATRIX_GRPC__KEY_FILE": ""}
        assert "does not answer" in await asyncio.to_thread(ask_health, without, NAME)
        lost = {**known, "MATRIX_GRPC__CA_FILE": str(tmp_path / "ca.pem")}
        assert "No such file" in await asyncio.to_thread(ask_health, lost, NAME)
