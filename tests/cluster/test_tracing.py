"""Traces of a whole platform: one leads from what a group did to the row, over all services."""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster.platform import Platform, platform
from tests.e2e.conftest import command
from tests.integration.collector import Collected, Seen, collector

SIZE = 6
_SERVICES = [
    "matrix-reward_filtering",
    "matrix-instruction_generation",
    "matrix-scenario_extraction",
    "matrix-message_modulation",
    "matrix-agent_state",
]
"""From the row back to what a group did."""
_AWAY = "collector of traces is away"


def tracing(monkeypatch: pytest.MonkeyPatch, endpoint: str, ratio: float) -> None:
    monkeypatch.setenv("MATRIX_TRACING__ENDPOINT", endpoint)
    monkeypatch.setenv("MATRIX_TRACING__SAMPLE_RATIO", str(ratio))
    # The last samples of a small dataset would wait for half a minute.
    monkeypatch.setenv("MATRIX_REUSE_AFTER_SECONDS", "2")


def services_on_the_way(found: Collected, span: Seen) -> list[str]:
    """Return the services back to the root, each once where spans of it follow each other."""
    names = [each.service for each in found.ancestors(span)]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


async def headers(up: Platform) -> list[str]:
    return [h for message in await up.history() for h in message.headers if h == "traceparent"]


async def ask_by_command(up: Platform, *words: str) -> str:
    """Run a command of `matrix` against the platform."""
    process = await asyncio.create_subprocess_exec(
        *command(*words, "--server", up.directory / "endpoints.json"), stdout=subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode()


def stored(found: Collected, rows: Sequence[dict[str, object]]) -> bool:
    """Return whether the row of each sample, and all before it, has arrived."""
    known = found.by_id()
    spans = [span for span in found.spans if span.name == "store"]
    arrived = {str(span.attributes["matrix.sample_id"]) for span in spans}
    whole = all(not span.parent or span.parent in known for span in found.spans)
    return whole and {str(row["id"]) for row in rows} <= arrived


async def test_one_trace_goes_over_all_services_and_a_collector_may_die(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as found:
        tracing(monkeypatch, found.endpoint, 1)
        async with platform(tmp_path, replicas=1, agents=30) as up:
            await up.order("first", SIZE)
            await up.filled("first", SIZE, 90)
            rows = up.rows("first")
            await found.until(lambda: stored(found, rows))
            spans = {str(s.attributes["matrix.sample_id"]): s for s in found.named("store")}
            for row in rows:
                span = spans[str(row["id"])]
                assert services_on_the_way(found, span) == _SERVICES
                root = list(found.ancestors(span))[-1]
                assert (root.name[:5], root.kind) == ("step ", "CONSUMER")
                assert span.attributes["matrix.table"] == "s3://matrix/first"
                assert {link for link in span.links} <= {
                    (s.trace, s.id) for s in found.named("commit")
                }
            assert len({span.replica for span in found.spans}) == len(_SERVICES)
            served = [span for span in found.spans if span.kind == "SERVER"]
            assert any(span.name.endswith("/CreateDataset") for span in served)
            assert not [s for s in served if "grpc.health" in s.name or "reflection" in s.name]
            (tmp_path / "tree.txt").write_text("\n".join(found.tree(spans[rows[0]["id"]].trace)))

            assert "first" in await ask_by_command(up, "datasets", "list")
            [asked] = [span for span in found.spans if span.service == "matrix-cli" and span.parent]
            assert asked.kind == "CLIENT"
            await found.until(lambda: any(span.parent == asked.id for span in found.spans))

            await asyncio.to_thread(found.stop)
            await up.order("second", SIZE)
            await up.filled("second", SIZE, 90)
            logs = (up.directory / "logs").glob("*.log")
            told = {log.stem: log.read_text().count(_AWAY) for log in logs}
            assert max(told.values()) == 1, told
        assert "left" in up.told or up.process.returncode in (0, 130)


@pytest.mark.parametrize("on", [True, False], ids=["ratio 0", "no endpoint"])
async def test_nothing_is_traced_unless_it_is_asked_for(
    on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as found:
        tracing(monkeypatch, found.endpoint if on else "", 0 if on else 1)
        async with platform(tmp_path, replicas=1, agents=30) as up:
            await up.order("first", SIZE)
            await up.filled("first", SIZE, 90)
            assert await headers(up) == []
        assert found.requests == 0
