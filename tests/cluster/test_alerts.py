"""A part of a platform goes away: its alert fires, and the runbook's first command says why."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cut import platform_behind_proxy
from tests.cluster.platform import Platform, children
from tests.prometheus import Target, prometheus

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
MORE_THAN_CAN_BE_MADE = 100_000
UNDERWAY = 10
FASTER = 30
"""Minutes of the rules become two seconds; Prometheus asks every second here."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?<=\[)\d+[smhd](?=\])|(?<=offset )\d+[smhd]\b")


def shortened(path: Path, factor: float) -> dict[str, Any]:
    """Return rules whose durations are so many times shorter; what they ask stays as it is."""

    def short(duration: str) -> str:
        return f"{max(1, round(int(duration[:-1]) * _SECONDS[duration[-1]] / factor))}s"

    rules: dict[str, Any] = yaml.safe_load(path.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _DURATION.sub(lambda match: short(match[0]), rule["expr"])
            if "for" in rule:
                rule["for"] = short(rule["for"])
    return rules


def first_command(alert: str) -> str:
    """Return what the runbook tells to do first about an alert of a `matrix up`."""
    page = (ROOT / "ops" / "runbook.md").read_text()
    section = page.partition(f"\n### {alert}\n")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    return block.partition("# matrix up")[2].partition("\n")[2].strip()


def said_by(command: str, now: Platform, model: str) -> str:
    """Run a command as somebody does whose platform is in `data/up`; return its words."""
    place = now.directory.parent / "place"
    if not place.exists():
        (place / "data").mkdir(parents=True)
        (place / "data" / "up").symlink_to(now.directory)
    programs = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-c", command.replace("http://127.0.0.1:8000", model)],
        cwd=place,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def targets(now: Platform, model: str) -> Mapping[str, list[Target]]:
    """Return where services and model tell their metrics, with the labels that they have."""
    found: list[Target] = [
        (address, {"component": component, "replica": str(replica)})
        for component, addresses in now.file("endpoints.json")["metrics"].items()
        for replica, address in enumerate(addresses)
    ]
    assert len(found) == 5
    host = model.removeprefix("http://")
    return {"matrix": found, "matrix-models": [(host, {"role": "simulator"})]}


class Alarm:
    """What a Prometheus says of its alerts."""

    def __init__(self, url: str, now: Platform) -> None:
        self._url, self._now = url, now

    async def firing(self) -> dict[str, dict[str, str]]:
        """Return the labels of the alerts that fire, by name."""

        def asked() -> Any:
            with urllib.request.urlopen(f"{self._url}/api/v1/alerts", timeout=10) as answer:
                return json.load(answer)["data"]["alerts"]

        alerts = await asyncio.to_thread(asked)
        return {a["labels"]["alertname"]: a["labels"] for a in alerts if a["state"] == "firing"}

    async def until(self, alert: str, fires: bool, seconds: float) -> dict[str, str]:
        """Wait until an alert fires, or does not; return its labels."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (alert in (now := await self.firing())) != fires:
            assert loop.time() < deadline, f"{alert}: {fires} did not come, there are {sorted(now)}"
            assert self._now.process.returncode is None, self._now.told[-3000:]
            await asyncio.sleep(0.5)
        return now.get(alert, {})


def test_only_durations_are_shortened(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    rule = {"alert": "A", "expr": 'rate(a_5m{x="[5m]"}[1h]) > 5 unless b offset 15m', "for": "10m"}
    path.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    [group] = shortened(path, 30)["groups"]
    [short] = group["rules"]
    assert short["for"] == "20s"
    assert short["expr"].endswith("[120s]) > 5 unless b offset 30s")


async def test_what_goes_away_is_told_and_the_first_command_shows_the_cause(tmp_path: Path) -> None:
    rules = tmp_path / "alerts.yaml"
    rules.write_text(yaml.safe_dump(shortened(ROOT / "ops" / "alerts.yaml", FASTER)))
    async with platform_behind_proxy(tmp_path, replicas=1, seconds_per_call=0.05) as (now, proxy):
        model = re.findall(r"^model: .* at (http://[\d.:]+)", now.told, re.MULTILINE)[0]
        await now.order("d", MORE_THAN_CAN_BE_MADE)
        async with (
            asyncio.timeout(300),
            prometheus(tmp_path / "prometheus", targets(now, model), [rules]) as url,
        ):
            alarm = Alarm(url, now)
            while await now.accepted("d") < UNDERWAY:  # noqa: ASYNC110 - over gRPC
                await asyncio.sleep(0.2)
            away = {"MatrixStoreAway", "MatrixBrokerAway", "MatrixModelServerDown"}
            assert not away & (await alarm.firing()).keys()

            (store,) = children(now.process.pid, "mini")
            os.kill(store, signal.SIGSTOP)
            try:
                labels = await alarm.until("MatrixStoreAway", True, 90)
                assert labels["severity"] == "page"
                said = said_by(first_command("MatrixStoreAway"), now, model)
            finally:
                os.kill(store, signal.SIGCONT)
            address = now.told.split("object store: ")[1].split(",")[0]
            assert "dataset store is away" in said
            assert address.removeprefix("http://") in said
            await alarm.until("MatrixStoreAway", False, 60)

            proxy.cut()
            try:
                labels = await alarm.until("MatrixBrokerAway", True, 60)
                assert labels["severity"] == "page"
                said = said_by(first_command("MatrixBrokerAway"), now, model)
            finally:
                await proxy.mend()
            assert proxy.address in said
            assert "gave no answer" in said
            await alarm.until("MatrixBrokerAway", False, 60)

            await now.model.stop()
            labels = await alarm.until("MatrixModelServerDown", True, 60)
            assert labels["severity"] == "page"
            assert labels["role"] == "simulator"
            said = said_by(first_command("MatrixModelServerDown"), now, model)
            assert model in said
            assert "no" in said.split()
