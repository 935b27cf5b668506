"""What the chart gives Prometheus and Grafana: targets with the labels asked for, and alerts."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart

from ops import monitoring
from services.local.up.settings import SERVICES
from tests.deploy.network import selects
from tests.deploy.rendering import (
    CASES,
    CHART,
    NAMESPACE,
    RELEASE,
    Manifest,
    manifests_of,
    of_kind,
    pods,
    rendered,
)
from tests.deploy.strict_yaml import read_documents

WATCHED = ("everything", "kind, watched")
KINDS = ("PodMonitor", "PrometheusRule")


def targets(case: str) -> Iterator[dict[str, str]]:
    """Return the labels of every target, as Prometheus' operator and relabelling make them."""
    for monitor in of_kind(rendered(case), "PodMonitor").values():
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        for source, (labels, spec) in pods(case).items():
            if not selects(monitor["spec"]["selector"], labels):
                continue
            ports = {port.get("name"): port["containerPort"] for port in all_ports(spec)}
            number = endpoint.get("portNumber") or ports[endpoint["port"]]
            assert number in ports.values(), source
            pod = {
                f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9_]', '_', name)}": value
                for name, value in labels.items()
            }
            pod["__meta_kubernetes_pod_name"] = f"{source.partition('/')[2]}-1"
            found = {"namespace": NAMESPACE, "port": str(number), "kind": source.partition("/")[0]}
            yield relabelled(pod, found, endpoint["relabelings"])


def all_ports(spec: Manifest) -> list[Manifest]:
    return [port for container in spec["containers"] for port in container.get("ports", [])]


def relabelled(
    pod: Mapping[str, str], labels: dict[str, str], rules: list[Manifest]
) -> dict[str, str]:
    """Do what Prometheus does with the action `replace`, whose `${1}` is Python's `\\g<1>`."""
    for rule in rules:
        value = ";".join(pod.get(name, "") for name in rule.get("sourceLabels", []))
        # A number that is no group of its own, as in $1_x, is the empty name of another one there.
        assert not re.search(r"\$\d", rule["replacement"]), rule
        if match := re.fullmatch(rule.get("regex", "(.*)"), value):
            labels[rule["targetLabel"]] = match.expand(
                re.sub(r"\$\{(\d)\}", r"\\g<\1>", rule["replacement"])
            )
    return labels


@pytest.mark.parametrize("case", WATCHED)
def test_every_service_is_a_target_with_the_labels_of_the_platform(case: str) -> None:
    found = [each for each in targets(case) if each["job"] == "matrix"]
    assert sorted(each["component"] for each in found) == sorted(SERVICES)
    for each in found:
        assert each["replica"] == "1"
        assert each["port"] == "9464"


def test_every_model_server_is_a_target_with_its_role() -> None:
    def of(case: str) -> set[tuple[str, str]]:
        found = [each for each in targets(case) if each["job"] == "matrix-models"]
        assert len(found) == len({each["role"] for each in found})
        return {(each["role"], each["port"]) for each in found}

    assert of("kind, watched") == {("simulator", "8000")}
    roles = ("teacher", "student", "reward", "embedding")
    assert of("everything") == {(role, "8080") for role in roles}
    assert of("defaults") == of("everything")


@pytest.mark.parametrize("case", CASES)
def test_a_cluster_without_the_operator_of_prometheus_is_asked_for_none_of_its_kinds(
    case: str,
) -> None:
    found = [kind for kind in KINDS if of_kind(rendered(case), kind)]
    if case in WATCHED:
        assert found == list(KINDS)
    else:
        # That of the models on KServe has a switch of its own, and is needed to scale them.
        assert set(of_kind(rendered(case), "PodMonitor")) <= {"matrix-models"}
        assert not of_kind(rendered(case), "PrometheusRule")


@pytest.mark.parametrize("case", WATCHED)
def test_the_rules_are_those_of_the_repository_for_the_namespace_of_the_release(case: str) -> None:
    rule = of_kind(rendered(case), "PrometheusRule")[RELEASE]
    text = monitoring.ALERTS.read_text()
    for job in ("matrix", "matrix-models"):
        text = text.replace(f'job="{job}"', f'job="{job}",namespace="{NAMESPACE}"')
    if case == "everything":
        text = text.replace("ops/runbook.md#", "https://docs.example.com/runbook#")
        assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert rule["spec"] == yaml.safe_load(text)


def test_every_selector_of_the_rules_gets_the_namespace() -> None:
    [rule] = of_kind(rendered("everything"), "PrometheusRule").values()
    for group in rule["spec"]["groups"]:
        for each in group["rules"]:
            selectors = re.findall(r"\{[^}]*\}", each["expr"])
            assert selectors
            assert all(f'namespace="{NAMESPACE}"' in one for one in selectors), each["expr"]


def test_the_copy_in_the_chart_is_the_file_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert monitoring.main(["--check"]) == 0
    monkeypatch.setattr(monitoring, "COPY", tmp_path / "files" / "alerts.yaml")
    assert monitoring.main(["--check"]) == 1
    assert "run python -m ops.monitoring" in capsys.readouterr().out
    assert monitoring.main([]) == 0
    assert monitoring.main(["--check"]) == 0
    assert monitoring.main(["--chek"]) == 2


def with_dashboards(
    folder: Path, dashboards: Mapping[str, Any], values: Manifest
) -> list[Manifest]:
    """Return the dashboards' ConfigMaps of a chart that has these."""
    shutil.copytree(CHART, folder / "matrix", ignore=shutil.ignore_patterns("dashboards"))
    (folder / "matrix" / "dashboards").mkdir()
    for name, dashboard in dashboards.items():
        (folder / "matrix" / "dashboards" / name).write_text(json.dumps(dashboard))
    files = Chart.load(str(folder / "matrix")).render(values, name=RELEASE, namespace=NAMESPACE)
    text = files.get("matrix/templates/dashboards.yaml", "")
    return [each for each in read_documents(text) if each]


def test_each_dashboard_is_a_config_map_that_grafana_finds(tmp_path: Path) -> None:
    made = {
        "our_society.json": {
            "title": "Society",
            "panels": [{"expr": 'up{job="matrix"}', "a": "{{x}}"}],
        },
        "models.json": {"title": "Models\nof\tours"},
    }
    found = of_kind(
        with_dashboards(tmp_path, made, {"monitoring": {"dashboards": True}}), "ConfigMap"
    )
    assert set(found) == {"matrix-dashboard-our-society", "matrix-dashboard-models"}
    for each in found.values():
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"grafana_folder": "MATRIX"}
        [(name, content)] = each["data"].items()
        assert json.loads(content) == made[name]


def test_dashboards_are_there_when_they_are_asked_for(tmp_path: Path) -> None:
    assert with_dashboards(tmp_path, {"models.json": {}}, {}) == []
    manifests = manifests_of({"monitoring": {"dashboards": True}})
    wanted = sorted(path.name for path in (CHART / "dashboards").glob("*.json"))
    found = [each for each in of_kind(manifests, "ConfigMap") if "-dashboard-" in each]
    assert len(found) == len(wanted)
