"""`matrix datasets report` on tables of a run: what it opens, and what it replaces."""

from pathlib import Path

import pytest

from services.cli.report import report, write_page
from services.reward_filtering.report_page import MARKER
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.errors import NotFound, Rejected
from services.runtime.tables import Table
from tests.unit.reward_filtering.test_report import candidate


@pytest.fixture
def run(tmp_path: Path) -> Path:
    out = tmp_path / "run"
    pairs = Table(str(out / "datasets" / "pairs"), SAMPLE_SCHEMA)
    pairs.append([candidate(index) for index in range(4)], {})
    refused = [candidate(9, "static", "pii")]
    Table(str(out / "datasets/_rejected/pairs"), SAMPLE_SCHEMA).append(refused, {})
    Table(str(out / "datasets/_rejected/hopeless"), SAMPLE_SCHEMA).append(refused, {})
    Table(str(out / "datasets/empty"), SAMPLE_SCHEMA).append([], {}, force=True)
    return out


@pytest.mark.parametrize("name", ["pairs", "hopeless"])
def test_a_dataset_has_a_page_even_when_all_is_rejected(
    run: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "pages" / "report.html"
    report(name, target, run)
    text = target.read_text(encoding="utf-8")
    report(name, target, run)
    assert target.read_text(encoding="utf-8") == text
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("name", ["chat", "../pairs", "_rejected/pairs"])
def test_an_unknown_dataset_is_told_with_those_there_are(run: Path, name: str) -> None:
    with pytest.raises(NotFound, match="there are: empty, hopeless, pairs"):
        report(name, run / "report.html", run)


def test_a_dataset_without_candidates_is_refused(run: Path) -> None:
    with pytest.raises(Rejected, match="'empty' has no candidates yet"):
        report("empty", run / "report.html", run)
    with pytest.raises(NotFound, match="holds no run"):
        report("pairs", run / "report.html", run / "elsewhere")


def test_nothing_but_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "notes.html"
    target.write_text("mine")
    with pytest.raises(Rejected, match="no earlier report"):
        write_page(MARKER, target)
    assert target.read_text() == "mine"
    with pytest.raises(Rejected, match="no earlier report"):
        write_page(MARKER, tmp_path)


def test_what_is_no_report_is_not_written(tmp_path: Path) -> None:
    target = tmp_path / "pages" / "report.html"
    with pytest.raises(Rejected, match="is no report"):
        write_page("<!doctype html><script>", target)
    assert not target.parent.exists()
