"""`matrix datasets refilter`: which store it works on, and what it says meanwhile."""

from pathlib import Path

import pytest

from services.cli.refilter_view import decided_line
from services.cli.store import dataset_store
from services.local.redeciding import Decided
from services.runtime.errors import NotFound, Rejected


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "ENDPOINT", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"MATRIX_OBJECT_STORE__{name}", raising=False)
    return tmp_path


def run_in(place: Path) -> Path:
    place.mkdir()
    (place / "run.json").write_text("{}")
    return place


def test_a_store_is_named_by_the_option_or_else_by_the_setting(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(here / "data")
    monkeypatch.setenv("MATRIX_OBJECT_STORE__ENDPOINT", "http://127.0.0.1:8333")
    monkeypatch.setenv("MATRIX_OBJECT_STORE__SECRET_KEY", "key")
    found = dataset_store("s3://a/prefix", None)
    assert (found.url, found.endpoint) == ("s3://a/prefix", "http://127.0.0.1:8333")
    assert found.secret_key.get_secret_value() == "key"
    monkeypatch.setenv("MATRIX_OBJECT_STORE__URL", "s3://b")
    assert dataset_store("s3://a", None).url == "s3://a"
    assert dataset_store("", None).url == "s3://b"
    assert dataset_store("", Path("data")).url == "data/datasets"


def test_without_a_store_it_is_the_run_here(here: Path) -> None:
    with pytest.raises(NotFound, match=r"data holds no run: give --store \(or MATRIX_"):
        dataset_store("", None)
    run_in(here / "data")
    assert dataset_store("", None).url == "data/datasets"
    with pytest.raises(NotFound, match="other holds no run"):
        dataset_store("", Path("other"))
    with pytest.raises(Rejected, match="give one of them"):
        dataset_store("s3://a", Path("data"))


@pytest.mark.parametrize(
    ("decided", "seconds", "line"),
    [
        (Decided(0, 500, 0), 0.0, "0 of 500 candidates, 0 accepted"),
        (Decided(100, 500, 30), 20.0, "100 of 500 candidates, 30 accepted, 5.0/s, 80 s left"),
        (Decided(300, 500, 90, 250), 10.0, "300 of 500 candidates, 90 accepted, 5.0/s, 40 s left"),
        (Decided(1_500, 1_500, 1), 3.0, "1,500 of 1,500 candidates, 1 accepted, 500.0/s"),
    ],
)
def test_a_line_tells_counts_and_the_rate_since_the_break(
    decided: Decided, seconds: float, line: str
) -> None:
    assert decided_line(decided, seconds) == line
