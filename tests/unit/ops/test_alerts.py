"""Each alert fires and clears in a test, and asks for metrics that exist."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.events import topics as t
from services.local.simulator.metric_names import HELP
from services.local.up.settings import SERVICES
from services.runtime.metric_fields import Declared, declared
from services.runtime.metrics import LineMetrics, Metrics
from tests.prometheus import program
from tests.unit.ops.expressions import groupings, selectors

OPS = Path(__file__).parents[3] / "ops"
ALERTS = OPS / "alerts.yaml"
TESTS = sorted((Path(__file__).parent / "alerts").glob("*.test.yaml"))
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
FIRING = [rule for rule in RULES if "alert" in rule]
TARGET = {"job", "namespace", "component", "replica"}
"""Labels of every target of the platform; `namespace` only in a cluster."""
OF_PROMETHEUS = {"up": set[str](), "process_start_time_seconds": set[str]()}
"""Metrics of each target that are not declared here: of Prometheus itself, and of its client."""


def metrics() -> dict[str, Declared]:
    """Return every declared metric by the names of its series."""
    found: dict[str, Declared] = {}
    for part in fields(Metrics):
        assert callable(part.default_factory)
        for metric, _ in declared(part.default_factory()):
            suffixes = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
            found |= {metric.name + suffix: metric for suffix in suffixes}
    return found


def labels_of(series: str) -> set[str]:
    """Return the labels that a series can have, its target's included.

    Raises:
        KeyError: there is no such series.
    """
    if series in OF_PROMETHEUS:
        return TARGET | {"role"}
    if series.startswith("vllm:"):
        assert re.sub(r"_(total|bucket|count|sum)$", "", series[5:]) in HELP, series
        return TARGET | {"role", "model_name"}
    metric = metrics()[series]
    extra = {"le"} if series.endswith("_bucket") and metric.kind == "histogram" else set()
    return TARGET | set(metric.labels) | extra


def name_of(rule: Mapping[str, Any]) -> str:
    return f"{rule['alert']}-{rule['labels']['severity']}"


# What is asked for


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("record") or name_of(rule))
def test_every_metric_and_label_of_a_rule_exists(rule: dict[str, Any]) -> None:
    recorded = {each["record"]: each["expr"] for each in RULES if "record" in each}
    known: set[str] = set()
    asked = list(selectors(rule["expr"]))
    assert asked
    for each in asked:
        if each.metric in recorded:
            labels = groupings(recorded[each.metric]) or TARGET
        else:
            labels = labels_of(each.metric)
        known |= labels
        named = dict(each.matchers)
        assert named.keys() <= labels, each
        # The chart adds the namespace of its release beside it.
        assert named["job"] in ("matrix", "matrix-models"), each
        if "component" in named:
            assert named["component"] in SERVICES
    assert groupings(rule["expr"]) <= known
    if "alert" in rule:
        text = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= known


def test_a_recorded_metric_comes_before_who_asks_for_it() -> None:
    seen: set[str] = set()
    for rule in RULES:
        if "record" in rule:
            asked = {each.metric for each in selectors(rule["expr"]) if ":" in each.metric}
            assert {name for name in asked if not name.startswith("vllm:")} <= seen
            seen.add(rule["record"])
    assert len(seen) == len([rule for rule in RULES if "record" in rule])


def test_every_service_is_missed_when_it_has_no_target() -> None:
    [rule] = [rule for rule in FIRING if rule["alert"] == "MatrixServiceDown"]
    assert re.findall(r'absent\(up\{job="matrix",component="(\w+)"\}\)', rule["expr"]) == list(
        SERVICES
    )


def test_the_objective_of_freshness_is_a_bucket() -> None:
    [metric] = [
        m for m, _ in declared(LineMetrics()) if m.name == "matrix_sample_freshness_seconds"
    ]
    exposed = next(iter(LineMetrics().freshness_seconds.collect()))
    bounds = {sample.labels["le"] for sample in exposed.samples if "le" in sample.labels}
    rules = [rule for rule in RULES if f"{metric.name}_bucket" in rule["expr"]]
    assert len(rules) == 7
    for rule in rules:
        for each in selectors(rule["expr"]):
            if each.metric.endswith("_bucket"):
                # As it stands in the file: a string of PromQL, whose backslash is doubled.
                pattern = dict(each.matchers)["le"].replace("\\\\", "\\")
                assert [bound for bound in bounds if re.fullmatch(pattern, bound)] == ["300.0"]


def test_burn_rates_are_those_of_the_workbook() -> None:
    for name, budget in (("MatrixSamplesLate", "0.01"), ("MatrixCallsFailing", "0.001")):
        found = {
            rule["labels"]["severity"]: re.findall(
                r"ratio_rate(\w+)\{[^}]*\} > ([\d.]+) \* ([\d.]+)", rule["expr"]
            )
            for rule in FIRING
            if rule["alert"] == name
        }
        windows = {
            "page": [("1h", "14.4"), ("5m", "14.4"), ("6h", "6"), ("30m", "6")],
            "ticket": [("1d", "3"), ("2h", "3"), ("3d", "1"), ("6h", "1")],
        }
        assert found == {
            severity: [(window, factor, budget) for window, factor in pairs]
            for severity, pairs in windows.items()
        }


# What is told


@pytest.mark.parametrize("rule", FIRING, ids=name_of)
def test_every_alert_says_what_how_bad_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in ("page", "ticket")
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert notes["summary"].endswith(".")
    assert len(notes["summary"]) < 100
    assert notes["runbook_url"] == f"ops/runbook.md#{rule['alert'].lower()}"


# promtool


def test_the_rules_are_rules() -> None:
    done = subprocess.run(
        [program("promtool"), "check", "rules", "--lint-fatal", ALERTS],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name.partition(".")[0])
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    done = subprocess.run(
        [program("promtool"), "test", "rules", path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_that_does_not_fire_is_noticed(tmp_path: Path) -> None:
    [path] = [path for path in TESTS if path.name.startswith("services")]
    text = path.read_text().replace("../../../../ops/alerts.yaml", str(tmp_path / "alerts.yaml"))
    (tmp_path / "services.test.yaml").write_text(text)
    (tmp_path / "alerts.yaml").write_text(
        ALERTS.read_text().replace(
            'avg_over_time(matrix_event_loop_lag_seconds{job="matrix"}[5m]) > 0.5',
            'avg_over_time(matrix_event_loop_lag_seconds{job="matrix"}[5m]) > 5000',
        )
    )
    done = subprocess.run(
        [program("promtool"), "test", "rules", "services.test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "MatrixEventLoopBlocked" in done.stdout + done.stderr


# The tests themselves


def cases() -> Iterator[tuple[str, str, list[str]]]:
    """Return test, alert, and the severities that fire, in the order of time of each test."""
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for check in test["alert_rule_test"]:
                fired = [each["exp_labels"]["severity"] for each in check["exp_alerts"]]
                yield f"{path.name}: {test['name']}", check["alertname"], fired


def test_every_alert_is_seen_to_fire_and_to_clear() -> None:
    told: dict[str, dict[str, list[set[str]]]] = defaultdict(lambda: defaultdict(list))
    for test, alert, fired in cases():
        told[alert][test].append(set(fired))
    for rule in FIRING:
        severity, runs = rule["labels"]["severity"], told[rule["alert"]].values()
        fires_and_clears = [
            run
            for run in runs
            if any(severity in now and severity not in later for now, later in pairwise(run))
        ]
        quiet = [run for run in runs if run and severity not in run[0]]
        assert fires_and_clears, f"{name_of(rule)} is never seen to clear"
        assert quiet, f"{name_of(rule)} is never seen not to fire"
    assert told.keys() == {rule["alert"] for rule in FIRING}


def test_the_series_of_tests_are_those_of_the_platform() -> None:
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for series in test["input_series"]:
                [selector] = selectors(series["series"])
                labels = dict(selector.matchers)
                own = labels.keys() - {"pod"}
                assert own <= labels_of(selector.metric), series
                assert labels["job"] in ("matrix", "matrix-models")
                assert labels.get("component", SERVICES[0]) in SERVICES
                metric = metrics().get(selector.metric)
                if metric is not None:
                    assert set(metric.labels) <= own, series
                if "topic" in labels:
                    assert labels["topic"] in {topic.name for topic in t.TOPICS}
