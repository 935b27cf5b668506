"""Candidates are read in the order of their verdicts, whatever lies where."""

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from services.reward_filtering.candidates import Candidates
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.tables import Table
from tests.unit.reward_filtering.test_report import START, candidate


def table(place: Path, *rows: dict[str, object]) -> tuple[Table, int]:
    made = Table(str(place), SAMPLE_SCHEMA)
    return made, made.append(list(rows), {})


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=20),
    st.integers(1, 8),
    st.integers(0, 22),
)
def test_batches_hold_every_row_once_in_order_also_those_of_the_same_instant(
    made: list[tuple[int, bool]], size: int, start: int
) -> None:
    rows = [
        candidate(n, reason="" if taken else "late", created_at=START + timedelta(microseconds=at))
        for n, (at, taken) in enumerate(made)
    ]
    with tempfile.TemporaryDirectory() as folder:
        accepted = table(Path(folder) / "a", *(row for row in rows if row["accepted"]))
        rejected = table(Path(folder) / "b", *(row for row in rows if not row["accepted"]))
        both = Candidates([accepted, rejected])
        ordered = [row["id"] for row in sorted(rows, key=lambda r: (r["created_at"], r["id"]))]
        batches = [batch["id"].to_pylist() for batch in both.batches(size)]
        assert [name for batch in batches for name in batch] == ordered
        assert all(len(batch) == size for batch in batches[:-1])
        found = both.samples(start, size)
        assert [each.sample_id for each in found] == ordered[start : start + size]
        taken = Candidates([accepted, rejected], "accepted")
        kept = [name for batch in taken.batches(size) for name in batch["id"].to_pylist()]
        assert kept == [name for name in ordered if name in set(accepted[0].ids())]


def test_what_comes_after_the_version_is_not_read(tmp_path: Path) -> None:
    first = table(tmp_path / "a", candidate(1))
    first[0].append([candidate(2)], {})
    assert [each.sample_id for each in Candidates([first]).samples(0)] == ["c0001"]


def test_no_tables_have_no_candidates() -> None:
    none = Candidates([])
    assert len(none) == 0
    assert list(none.batches()) == []
    assert none.samples(0) == []
    assert none.column("id", where="accepted").column_names == ["id"]
