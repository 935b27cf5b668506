"""What a Prometheus is told to look at, and that a platform does without one."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.local.servers.prometheus import (
    RULES,
    Prometheus,
    model_target,
    prometheus_program,
    replica_target,
    retention,
)
from services.local.up.directory import UpDirectory
from services.local.up.monitoring import model_targets, start_prometheus
from services.local.up.programs import ModelAddress
from services.local.up.settings import UpSettings
from services.local.up.supervisor import Supervisor
from services.runtime.errors import Rejected
from services.runtime.settings import ModelSettings, ModelsSettings


def made(tmp_path: Path, rules: Path | None = None) -> Prometheus:
    targets = [replica_target("agent_state", 1, "127.0.0.1:9464")]
    targets += [model_target("simulator", "https://gpu.example/vllm/v1/")]
    return Prometheus(Path("/usr/bin/prometheus"), tmp_path, targets, "24h", 9090, rules)


def test_targets_carry_the_labels_that_dashboards_and_alerts_ask_for(tmp_path: Path) -> None:
    made(tmp_path).prepare()
    (replica,) = json.loads((tmp_path / "matrix.json").read_text())
    assert replica["targets"] == ["127.0.0.1:9464"]
    labels = replica["labels"]
    assert (labels["component"], labels["replica"]) == ("agent_state", "1")
    (model,) = json.loads((tmp_path / "matrix-models.json").read_text())
    assert model["targets"] == ["gpu.example:443"]
    assert model["labels"] == {
        "role": "simulator",
        "__metrics_path__": "/vllm/metrics",
        "__scheme__": "https",
    }
    told = json.loads((tmp_path / "prometheus.yml").read_text())
    assert told["global"]["scrape_interval"] == "5s"
    assert told["rule_files"] == []
    assert [
        (each["job_name"], each["file_sd_configs"][0]["files"]) for each in told["scrape_configs"]
    ] == [
        ("matrix", [str(tmp_path / "matrix.json")]),
        ("matrix-models", [str(tmp_path / "matrix-models.json")]),
    ]


def test_it_listens_on_loopback_only_and_forgets_after_a_while(tmp_path: Path) -> None:
    command = made(tmp_path).process._command
    assert "--web.listen-address=127.0.0.1:9090" in command
    assert "--storage.tsdb.retention.time=24h" in command
    assert not any("admin-api" in part or "lifecycle" in part for part in command)


def test_rules_are_loaded_when_they_are_named(tmp_path: Path) -> None:
    rules = tmp_path / "alerts.yaml"
    assert made(tmp_path, rules).configuration()["rule_files"] == [str(rules)]
    with pytest.raises(Rejected, match=r"--rules .*gone\.yaml.*no such file"):
        UpSettings(rules=tmp_path / "gone.yaml")
    assert RULES.parent.name == "ops"
    assert (RULES.parents[1] / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("url", "address"),
    [("http://127.0.0.1:8000", "127.0.0.1:8000"), ("http://[::1]", "[::1]:80")],
)
def test_a_model_server_is_asked_where_it_answers_calls(url: str, address: str) -> None:
    target = model_target("teacher", url)
    assert (target.address, target.path, target.scheme) == (address, "/metrics", "http")


def addresses(settings: UpSettings, base: ModelsSettings) -> dict[str, str]:
    chat = ModelSettings(url=settings.model_url or "http://127.0.0.1:7000", name="m")
    found = model_targets(settings, base, ModelAddress(chat, None))
    return {each.address: each.labels["role"] for each in found}


def test_each_model_server_is_asked_once_and_our_small_one_not_at_all() -> None:
    none = ModelsSettings()
    assert addresses(UpSettings(model="simulated"), none) == {"127.0.0.1:7000": "simulator"}
    assert addresses(UpSettings(model="local"), none) == {}
    more = ModelsSettings(
        teacher=ModelSettings(url="http://big:8000", api_key=SecretStr("k")),
        student=ModelSettings(url="http://gpu:8000"),
        held_out=ModelSettings(url="http://other:8000"),
        embedding=ModelSettings(url="kserve://embedder"),
    )
    assert addresses(UpSettings(model="http://gpu:8000"), more) == {
        "gpu:8000": "simulator",
        "big:8000": "teacher",
        "other:8000": "held_out",
    }


def test_the_program_is_found_on_path_or_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MATRIX_PROMETHEUS", raising=False)
    assert prometheus_program() is None
    for name in ("prometheus", "other"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert prometheus_program() == tmp_path / "prometheus"
    monkeypatch.setenv("MATRIX_PROMETHEUS", str(tmp_path / "other"))
    assert prometheus_program() == tmp_path / "other"
    monkeypatch.setenv("MATRIX_PROMETHEUS", str(tmp_path / "gone"))
    with pytest.raises(Rejected, match=r"MATRIX_PROMETHEUS is .*gone.*no such program"):
        prometheus_program()


def test_how_long_is_kept_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MATRIX_PROMETHEUS_RETENTION", raising=False)
    assert retention() == "24h"
    monkeypatch.setenv("MATRIX_PROMETHEUS_RETENTION", "15d")
    assert retention() == "15d"
    for wrong in ("0h", "24", "1h --web.enable-admin-api", "for ever"):
        monkeypatch.setenv("MATRIX_PROMETHEUS_RETENTION", wrong)
        with pytest.raises(Rejected, match="give a duration as 24h or 15d"):
            retention()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "no Prometheus is installed: apt-get install prometheus"),
        ({"MATRIX_PROMETHEUS": "/gone"}, "without Prometheus: MATRIX_PROMETHEUS is '/gone'"),
        (
            {"MATRIX_PROMETHEUS": "/bin/sh", "MATRIX_PROMETHEUS_RETENTION": "x"},
            "without Prometheus: MATRIX_PROMETHEUS_RETENTION is 'x'",
        ),
    ],
)
def test_a_platform_goes_on_without_one_and_is_told_why(
    variables: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("MATRIX_PROMETHEUS", "MATRIX_PROMETHEUS_RETENTION"):
        monkeypatch.setenv(name, variables.get(name, ""))
    lines: list[str] = []
    supervisor = Supervisor()
    for settings in (UpSettings(), UpSettings(prometheus=False)):
        where = start_prometheus(
            settings, UpDirectory(tmp_path), supervisor, {}, [], 9090, lines.append
        )
        assert where == ""
    (line,) = lines
    assert told in line
    assert supervisor.children == []
