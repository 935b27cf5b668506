"""The report of a run: its funnel adds up, and to what the tables hold."""

import re
from collections import Counter
from pathlib import Path

from deltalake import DeltaTable

from tests.e2e.conftest import Matrix
from tests.e2e.reading import rows

SAMPLES = 20


def counted(page: str, name: str) -> list[int]:
    found = re.findall(rf'data-count="{name}">−?([\d,]+)<', page)  # noqa: RUF001
    return [int(number.replace(",", "")) for number in found]


def test_the_funnel_on_the_page_adds_up(matrix: Matrix, tmp_path: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "report.html"
    model = ("--model", "simulated", "--agents", "30", "--kind", "dpo")
    done = matrix("run", *model, "--samples", str(SAMPLES), "--out", out)
    assert done.returncode == 0, done.stderr
    made = matrix("datasets", "report", "dpo", "--out", out, "--to", target)
    assert made.returncode == 0, made.stderr
    assert str(target) in made.stderr.replace("\n", "")

    page = target.read_text(encoding="utf-8")
    assert len(rows(out, "dpo")) == SAMPLES
    kept = DeltaTable(str(out / "datasets" / "_rejected" / "dpo")).to_pyarrow_table().to_pylist()
    (candidates,), (accepted,) = counted(page, "candidates"), counted(page, "accepted")
    assert accepted == SAMPLES
    assert candidates == accepted + sum(counted(page, "refused")) == SAMPLES + len(kept)
    for reason, count in Counter(row["reason"] for row in kept).items():
        assert f"<li>{count:,} {reason}</li>" in page

    unknown = matrix("datasets", "report", "chat", "--out", out, "--to", target)
    assert unknown.returncode != 0
    assert "there are: dpo" in unknown.stderr.replace("\n", " ")
