"""Metrics: declared once, told in Prometheus' way, and never more of them than fits."""

import re
from collections import Counter
from dataclasses import fields

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from ops.metrics import main, metrics
from services.runtime.metrics import MOST_DATASETS, OTHER, LineMetrics, Metrics

NAME = re.compile(r"matrix_[a-z][a-z0-9_]*")


def told(of: Metrics) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the samples that a scrape gives, by name and values of labels."""
    text = generate_latest(of.registry()).decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_names_follow_the_conventions_of_prometheus() -> None:
    for _, metric in metrics():
        assert NAME.fullmatch(metric.name), metric
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric
        assert metric.help.endswith("."), metric
        if metric.kind == "histogram":
            assert metric.name.endswith("_seconds"), metric


def test_each_name_is_declared_once() -> None:
    names = Counter(metric.name for _, metric in metrics())
    assert not [name for name, count in names.items() if count > 1]


def test_the_page_of_metrics_is_what_the_code_declares() -> None:
    assert main(["--check"]) == 0


def test_counters_gauges_and_histograms_are_told_as_they_are_now() -> None:
    here = Metrics()
    here.model.calls["teacher", "response"] += 3
    here.society.born = 7
    here.kafka.lag["agent_state"] = lambda: 12
    here.kafka.lag["message_modulation"] = 4
    here.line.samples = lambda: {"one": 5, "two": 6}
    here.model.seconds.labels("teacher", "response").observe(0.3, {"trace_id": "ab12"})
    found = told(here)
    assert found["matrix_model_calls_total"] == {("teacher", "response"): 3}
    assert found["matrix_agents_born"] == {(): 7}
    assert found["matrix_kafka_lag_messages"] == {
        ("agent_state",): 12,
        ("message_modulation",): 4,
    }
    assert found["matrix_dataset_samples"] == {("one",): 5, ("two",): 6}
    assert found["matrix_model_call_seconds_count"] == {("teacher", "response"): 1}
    assert '# {trace_id="ab12"} 0.3' in generate_latest(here.registry()).decode()
    here.kafka.lag["agent_state"] = 0
    assert told(here)["matrix_kafka_lag_messages"]["agent_state",] == 0


def test_what_nobody_knows_has_no_sample() -> None:
    here = Metrics()
    here.model.running["server"] = lambda: None
    found = told(here)
    assert "matrix_model_server_running" not in found
    assert "matrix_population_target_agents" not in found
    here.society.target = 0
    assert told(here)["matrix_population_target_agents"] == {(): 0}


def test_every_declared_metric_is_exposed_under_its_name() -> None:
    text = generate_latest(Metrics().registry()).decode()
    families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    for _, metric in metrics():
        assert metric.name.removesuffix("_total") in families, metric


def test_two_processes_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    for part in fields(Metrics):
        assert getattr(one, part.name) is not getattr(other, part.name)
    one.model.seconds.labels("teacher", "act").observe(1.0)
    assert "matrix_model_call_seconds_count" not in told(other)


def test_datasets_beyond_the_bound_share_a_label() -> None:
    line = LineMetrics()
    names = [line.name(f"dataset-{number}") for number in range(3 * MOST_DATASETS)]
    assert len(set(names)) == MOST_DATASETS + 1
    assert names[-1] == OTHER
    assert line.name("dataset-0") == "dataset-0"


def test_hostile_values_of_labels_are_told_as_data() -> None:
    here = Metrics()
    name = 'a"} 1\nmatrix_agents 99\n{x="\\'
    here.line.accepted[name, "sft"] += 1
    found = told(here)
    assert found["matrix_samples_accepted_total"] == {(name, "sft"): 1}
    assert found["matrix_agents"] == {(): 0}


@pytest.mark.parametrize("arguments", [["--what"], ["--check", "x"]])
def test_the_writer_of_the_page_explains_itself(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "python -m ops.metrics" in capsys.readouterr().out


def test_what_may_be_counted_is_told_as_none_before_the_first() -> None:
    here = Metrics()
    found = told(here)
    assert found["matrix_table_commit_failures_total"] == {
        ("away",): 0,
        ("denied",): 0,
        ("unfit",): 0,
    }
    assert "matrix_model_given_up_total" not in found
    here.model.calls["teacher", "response"] += 1
    here.store.failures["denied"] += 1
    found = told(here)
    assert found["matrix_model_given_up_total"] == {("response",): 0}
    assert found["matrix_table_commit_failures_total"]["denied",] == 1
    assert not here.model.retries
