"""Dashboards ask for metrics that exist, and their files are what the sources say."""

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models

from ops.dashboards.__main__ import FOLDERS, differing
from ops.dashboards.catalogue import DASHBOARDS, expressions
from ops.dashboards.panels import VARIABLES, WIDTH, Dashboard
from tests.promql import foreign_metrics, metrics, platform_metrics, wrong

_ALERTS = Path(__file__).parents[3] / "ops" / "alerts.yaml"
_UNITS = {"none", "short", "percentunit", "s", "bytes", "Bps", "reqps"}
"""Ids that Grafana knows (its packages/grafana-data/src/valueFormats/categories.ts)."""


def generated(dashboard: Dashboard) -> Any:
    return json.loads((FOLDERS[0] / f"{dashboard.name}.json").read_text())


def alert_expressions() -> list[str]:
    if not _ALERTS.is_file():
        return []
    groups = yaml.safe_load(_ALERTS.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def base(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name)


def test_files_are_what_the_sources_say() -> None:
    assert differing() == []


def test_a_changed_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in FOLDERS:
        shutil.copytree(folder, tmp_path / folder.parent.name / folder.name)
    copies = tuple(tmp_path / folder.parent.name / folder.name for folder in FOLDERS)
    monkeypatch.setattr("ops.dashboards.__main__.FOLDERS", copies)
    assert differing() == []
    changed, superfluous = copies[0] / "models.json", copies[1] / "other.json"
    changed.write_text(changed.read_text().replace("MATRIX: Models", "Models"))
    superfluous.write_text("{}")
    (copies[1] / "society.json").unlink()
    assert set(differing()) == {changed, superfluous, copies[1] / "society.json"}


def test_every_expression_asks_for_metrics_and_labels_that_exist() -> None:
    known = platform_metrics() | foreign_metrics()
    told = {each.name: wrong(each.query.expression, known) for each in expressions()}
    assert {name: errors for name, errors in told.items() if errors} == {}


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("sum(rate(matrix_stepz_total[1m]))", "no metric matrix_stepz_total"),
        ("sum by (kind) (rate(matrix_steps_total[1m]))", "matrix_steps_total has no label kind"),
        ('up{color="red"}', "up has no label color"),
        ("vllm:num_requests_swapped", "no metric vllm:num_requests_swapped"),
        (
            "matrix_groups / on (reason) matrix_agents",
            "no metric of it has all of on (reason)",
        ),
    ],
)
def test_what_does_not_exist_is_told(expression: str, error: str) -> None:
    assert wrong(expression, platform_metrics() | foreign_metrics()) == [error]


def test_every_platform_metric_is_looked_at() -> None:
    asked = [each.query.expression for each in expressions()] + alert_expressions()
    used = {base(name) for expression in asked for name in metrics(expression)}
    own = {base(name) for name in platform_metrics()}
    assert own - used == set()


def test_every_panel_says_what_good_looks_like() -> None:
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            words = len(panel.description.split())
            assert 8 <= words <= 70, f"{dashboard.name}: {panel.title}: {words} words"
            assert panel.unit in _UNITS, f"{dashboard.name}: {panel.title}: {panel.unit}"
            assert panel.queries


def test_titles_are_unique() -> None:
    for dashboard in DASHBOARDS:
        titles = [panel.title for panel in dashboard.panels]
        assert len(titles) == len(set(titles))
    names = [each.name for each in expressions()]
    assert len(names) == len(set(names))


def test_variables_are_those_that_expressions_use() -> None:
    for dashboard in DASHBOARDS:
        asked = " ".join(query.expression for each in dashboard.panels for query in each.queries)
        used = {name for name in VARIABLES if f"${name}" in asked}
        assert used == set(dashboard.variables)
        plain = " ".join(q.plain() for each in dashboard.panels for q in each.queries)
        assert not re.search(r"\$[a-z_{]", plain)
        listed = {each["name"] for each in generated(dashboard)["templating"]["list"]}
        assert listed - {"datasource", "traces"} == used


def test_variables_choose_from_labels_that_exist() -> None:
    known = platform_metrics()
    for query in VARIABLES.values():
        found = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)
        assert found
        assert wrong(f"sum by ({found[2]}) ({found[1]})", known) == []


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    for dashboard in DASHBOARDS:
        panels = generated(dashboard)["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= WIDTH
            cells = set(
                itertools.product(
                    range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
                )
            )
            assert not cells & taken, f"{dashboard.name}: {panel['title']} overlaps"
            taken |= cells


def test_grafanas_own_sdk_reads_the_files_back() -> None:
    register_default_plugins()
    for dashboard in DASHBOARDS:
        read = models.Dashboard.from_json(generated(dashboard))
        assert json.loads(json.dumps(read, cls=JSONEncoder)) == generated(dashboard)
        assert read.panels is not None
        assert len(read.panels) == len(dashboard.rows) + len(list(dashboard.panels))


def test_numbers_are_of_now_and_curves_of_the_whole_time() -> None:
    for dashboard in DASHBOARDS:
        for panel in generated(dashboard)["panels"]:
            for target in panel.get("targets", ()):
                assert target["range"] == (panel["type"] == "timeseries")
                assert target["instant"] == (panel["type"] != "timeseries")


def test_rows_fill_the_width() -> None:
    for dashboard in DASHBOARDS:
        for row in dashboard.rows:
            assert sum(panel.width for panel in row.panels) % WIDTH == 0, row.title


def test_latency_panels_lead_to_traces() -> None:
    for dashboard in DASHBOARDS:
        for panel in generated(dashboard)["panels"]:
            traced = any(target.get("exemplar") for target in panel.get("targets", ()))
            assert traced == bool(panel.get("links"))
            if traced:
                assert all("histogram_quantile" in target["expr"] for target in panel["targets"])
                assert "${traces}" in panel["links"][0]["url"]


def test_expressions_parse(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH; tests/cluster/test_monitoring.py asks Prometheus")
    rules = [
        {"record": f"panel:number:{number}", "expr": each.query.plain()}
        for number, each in enumerate(expressions())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
