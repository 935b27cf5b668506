"""`matrix run --watch`: a run can be looked at while it works, with a Prometheus and without."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import command
from tests.prometheus import program

DEADLINE_SECONDS = 120


def read(url: str) -> str:
    """Return what an address answers; nothing while it is starting."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@asynccontextmanager
async def watched(
    out: Path, prometheus: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Give a run at work, and the line that says where to look."""
    process = await asyncio.create_subprocess_exec(
        *command("run", "--model", "simulated", "--agents", "40", "--samples", "5000"),
        *("--out", str(out), "--watch"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            "MATRIX_PROMETHEUS": prometheus,
            "PATH": str(Path(sys.executable).parent),
        },
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not (line := (await process.stdout.readline()).decode()).startswith("metrics:"):
                assert line, "it ended"
        yield process, line
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await process.communicate()
        assert process.returncode == 130
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def samples(text: str) -> dict[str, float]:
    """Return the values of metrics without labels."""
    families = text_string_to_metric_families(text)
    return {s.name: s.value for family in families for s in family.samples if not s.labels}


async def test_without_a_prometheus_a_run_tells_its_metrics_and_says_how_to_get_one(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path / "run", "") as (_, line):
        address = line.split()[1].rstrip(";")
        assert "no Prometheus is installed" in line
        deadline = time.monotonic() + DEADLINE_SECONDS
        while samples(text := await asyncio.to_thread(read, address))["matrix_steps_total"] < 5:
            assert time.monotonic() < deadline, text
            await asyncio.sleep(0.1)
        assert samples(text)["matrix_agents"] == 40
        assert 'matrix_dataset_size{dataset="sft"} 5000.0' in text
        assert 'matrix_model_calls_total{role="simulator"' in text
    assert not await asyncio.to_thread(read, address)


async def test_a_prometheus_that_is_installed_collects_a_run_and_ends_with_it(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path / "run", program("prometheus")) as (_, line):
        url = line.split()[-1]
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            answer = await asyncio.to_thread(read, f"{url}/api/v1/targets?state=active")
            targets = json.loads(answer)["data"]["activeTargets"] if answer else []
            if len(targets) == 2 and all(each["health"] == "up" for each in targets):
                break
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.2)
        labels = {each["labels"]["job"]: each["labels"] for each in targets}
        assert (labels["matrix"]["component"], labels["matrix"]["replica"]) == ("run", "0")
        assert labels["matrix-models"]["role"] == "simulator"
    assert not await asyncio.to_thread(read, f"{url}/-/ready")
    assert (tmp_path / "run" / "prometheus" / "data").is_dir()


async def test_a_prometheus_that_refuses_does_not_stop_a_run(tmp_path: Path) -> None:
    async with watched(tmp_path / "run", "/bin/false") as (process, line):
        address = line.split()[1].rstrip(";")
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            while b"prometheus: ended with code 1" not in (said := await process.stdout.readline()):
                assert said, "it ended"
        assert "matrix_steps_total" in await asyncio.to_thread(read, address)
