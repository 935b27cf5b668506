"""GET /metrics as Prometheus asks for it, and what calls of a server leave there."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from grpc_health.v1 import health_pb2
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from services.runtime.errors import NotFound, Rejected
from services.runtime.grpc_metrics import CallMetrics
from services.runtime.metrics import Metrics
from services.runtime.metrics_server import MetricsServer
from services.runtime.process_metrics import certificate_ends, tell_process, watch_loop
from services.runtime.settings import GrpcSettings, MetricsSettings, Settings
from tests.integration.grpc_probe import ask, connected, health, probe, refusal, upcoming, watch

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@asynccontextmanager
async def serving(metrics: Metrics, **settings: Any) -> AsyncIterator[MetricsServer]:
    server = MetricsServer(MetricsSettings(**settings), metrics)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def scraped(address: str, accept: str = OPENMETRICS, **options: Any) -> tuple[str, str]:
    """Return the content type and the text."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(address, headers={"Accept": accept}, **options) as response,
    ):
        assert response.status == 200
        return response.headers["Content-Type"], await response.text()


async def test_a_scrape_gives_the_format_that_is_asked_for() -> None:
    metrics = Metrics()
    metrics.society.agents = 5
    metrics.model.seconds.labels("teacher", "act").observe(0.2, {"trace_id": "f00d"})
    async with serving(metrics) as server:
        kind, text = await scraped(server.address)
        assert kind.startswith("application/openmetrics-text")
        found = {s.name: s for f in text_string_to_metric_families(text) for s in f.samples}
        assert found["matrix_agents"].value == 5
        assert 'trace_id="f00d"' in text
        kind, plain = await scraped(server.address, accept="*/*")
        assert kind.startswith("text/plain")
        assert "matrix_agents 5.0" in plain
        assert "f00d" not in plain
        assert "process_cpu_seconds_total" in plain


async def test_only_the_metrics_are_there_and_only_for_reading() -> None:
    async with serving(Metrics()) as server, aiohttp.ClientSession() as session:
        for method, path, status in (("GET", "/", 404), ("POST", "/metrics", 405)):
            url = server.address.replace("/metrics", path)
            async with session.request(method, url) as response:
                assert response.status == status


async def test_a_port_that_is_taken_is_refused_with_what_to_do() -> None:
    async with serving(Metrics()) as server:
        with pytest.raises(Rejected, match=rf"{server.port}.*MATRIX_METRICS__PORT"):
            async with serving(Metrics(), port=server.port):
                pass


async def test_metrics_are_told_over_tls_with_a_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    pair.cert_chain_pems[0].write_to_path(cert)
    pair.private_key_pem.write_to_path(key)
    trusting = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    async with serving(Metrics(), cert_file=cert, key_file=key) as server:
        assert server.address.startswith("https://")
        _, text = await scraped(server.address, ssl=trusting)
        assert "matrix_agents" in text
    with pytest.raises(Rejected, match=str(key)):
        async with serving(Metrics(), cert_file=key, key_file=key):
            pass


async def test_calls_are_counted_by_method_and_status() -> None:
    metrics = Metrics()

    async def answer(request: bytes, context: Any) -> bytes:
        if request == b"missing":
            raise NotFound("not here")
        if request == b"bug":
            raise ZeroDivisionError
        if request == b"late":
            await asyncio.sleep(60)
        return request

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.Event().wait()

    async def none_open() -> None:
        async with asyncio.timeout(10):
            while any(metrics.grpc.open.values()):  # noqa: ASYNC110 - the server runs beside
                await asyncio.sleep(0)

    counted = CallMetrics(metrics.grpc)
    settings = GrpcSettings(default_deadline_seconds=0.05)
    async with connected(probe(answer, stream), settings, interceptors=[counted]) as channel:
        method = "matrix.probe.v1.Probe/Ask"
        for request in (b"one", b"two"):
            await ask(channel)(request)
        for request in (b"missing", b"bug", b"late"):
            await refusal(ask(channel)(request))
        assert metrics.grpc.calls == {
            (method, "OK"): 2,
            (method, "NOT_FOUND"): 1,
            (method, "INTERNAL"): 1,
            (method, "DEADLINE_EXCEEDED"): 1,
        }
        watching = watch(channel)(b"")
        assert await upcoming(watching) == b"one"
        assert metrics.grpc.open == {method: 0, "matrix.probe.v1.Probe/Watch": 1}
        watching.cancel()
        await none_open()
        assert metrics.grpc.calls["matrix.probe.v1.Probe/Watch", "CANCELLED"] == 1
        await refusal(watch(channel)(b"", timeout=0.2))
        await none_open()
        assert metrics.grpc.calls["matrix.probe.v1.Probe/Watch", "DEADLINE_EXCEEDED"] == 1
        # Callers cannot make up labels, and those who look after us are not counted.
        await refusal(channel.unary_unary("/matrix.probe.v1.Probe/MadeUp")(b""))  # type: ignore[arg-type]
        await health(channel).Check(health_pb2.HealthCheckRequest())
        assert {name for name, _ in metrics.grpc.calls} == {
            method,
            "matrix.probe.v1.Probe/Watch",
        }


async def test_a_process_tells_its_version_its_certificates_and_how_late_its_loop_is(
    tmp_path: Path,
) -> None:
    cert = tmp_path / "cert.pem"
    pair = trustme.CA().issue_cert("matrix.example")
    pair.cert_chain_pems[0].write_to_path(cert)
    metrics = Metrics()
    tell_process(metrics, Settings(grpc=GrpcSettings(cert_file=cert)))
    assert metrics.grpc.certificates == {"grpc server": certificate_ends(cert)}
    assert certificate_ends(cert) > 1.7e9
    assert list(metrics.process.info.values()) == [1]
    watching = asyncio.create_task(watch_loop(metrics))
    try:
        async with asyncio.timeout(10):
            while metrics.process.loop_lag == 0.0:  # noqa: ASYNC110 - the watch looks each second
                await asyncio.sleep(0.05)
    finally:
        watching.cancel()
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(Rejected, match=r"broken\.pem"):
        certificate_ends(broken)
