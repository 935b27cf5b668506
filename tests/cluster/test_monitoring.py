"""What dashboards and alerts ask for is there, in a Prometheus that asks a platform at work.

A recording rule or an alert is looked into: most alerts are empty on a healthy platform, but the
series that they judge have to exist, or an alert could never fire.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from ops.dashboards.catalogue import expressions
from ops.dashboards.page import page
from ops.dashboards.page_data import Prometheus, Window
from services.runtime.errors import Rejected
from tests.cluster.platform import Platform, platform
from tests.prometheus import Rule, program, rules
from tests.promql import metrics

AGENTS = 60
MORE_THAN_CAN_BE_MADE = 100_000
SECONDS = 240

EMPTY: Mapping[str, str] = {
    "matrix_certificate_expiry_timestamp_seconds": "`matrix up` speaks without TLS",
}
"""Metrics that have no series on a healthy platform, and so no expression of them has data."""


async def asked_by(now: Platform) -> str:
    """Return the address of the platform's Prometheus, once it has reached all its targets."""
    url: str = now.file("endpoints.json")["prometheus"]
    targets = len(now.services()) + 1
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(Rejected):
                if len(await asyncio.to_thread(Prometheus(url).instant, "up == 1")) == targets:
                    return url
            await asyncio.sleep(0.5)


def with_data(source: Prometheus, asked: Mapping[str, str]) -> set[str]:
    """Return the names of the expressions that have a value."""
    return {
        name
        for name, expression in asked.items()
        if any(math.isfinite(value) for _, value in source.instant(expression))
    }


def justified(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the expressions that may be empty, and why: by what they ask for, or record."""
    reasons = dict(EMPTY)
    found: dict[str, str] = {}
    while True:
        more = {
            name: why
            for name, expression in asked.items()
            for metric, why in reasons.items()
            if name not in found and metric in metrics(expression)
        }
        if not more:
            return found
        found |= more
        reasons |= more


def judged(alerts: Collection[Rule]) -> dict[str, str]:
    """Return what to ask for each rule: whether there is all that it is about."""
    asked = {rule.name: rule.expression for rule in alerts if not rule.alerts}
    for rule in alerts:
        if rule.alerts:
            series = sorted(metrics(rule.expression) - set(EMPTY))
            counts = " and ".join(f"count({name})" for name in series)
            asked[f"alert {rule.name}"] = counts or rule.expression
    return asked


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIX_PROMETHEUS", program("prometheus"))
    monkeypatch.setenv("MATRIX_MODELS__SIMULATOR__PROMPT_PRICE", "0.2")
    monkeypatch.setenv("MATRIX_MODELS__SIMULATOR__COMPLETION_PRICE", "0.6")


async def test_every_panel_and_every_alert_finds_what_it_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {each.name: each.query.plain() for each in expressions()}
    async with platform(
        tmp_path, 1, AGENTS, seconds_per_call=0.2, seconds_per_token=0.001, kv_blocks=4000
    ) as now:
        url = await asked_by(now)
        await now.order("filling", MORE_THAN_CAN_BE_MADE)
        source = Prometheus(url)
        asked |= judged(await rules(url))
        missing = set(asked) - set(justified(asked))
        deadline = time.monotonic() + SECONDS
        while missing and time.monotonic() < deadline:
            await asyncio.sleep(1)
            pending = {name: asked[name] for name in missing}
            missing -= await asyncio.to_thread(with_data, source, pending)
        found = await asyncio.to_thread(with_data, source, asked)
        told = await rules(url)
        shown = await asyncio.to_thread(page, source, Window.last(300, time.time()))
    with capsys.disabled():
        for name, why in justified(asked).items():
            print(
                f"\n{name}: {'has data, though ' if name in found else 'is empty: '}{why}", end=""
            )
        for rule in told:
            if rule.state:
                print(f"\nalert {rule.name} is {rule.state}", end="")
    assert missing == set()
    assert {rule.name: rule.error for rule in told if rule.error} == {}
    assert "filling" in shown
