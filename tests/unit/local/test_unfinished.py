"""A refilter under way: one at a time for a name, gone on with, made whole, or discarded."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from services.local.unfinished import Plan, Unfinished
from services.reward_filtering.sample_schema import SAMPLE_SCHEMA
from services.runtime.errors import Rejected, Retryable
from services.runtime.settings import ObjectStoreSettings
from services.runtime.tables import Moved, Table
from tests.unit.reward_filtering.test_report import candidate

ROWS = [candidate(n, reason="" if n % 3 else "late") for n in range(6)]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStoreSettings:
    (tmp_path / "datasets").mkdir()
    return ObjectStoreSettings(url=str(tmp_path / "datasets"))


def plan(token: str = "t1", **settings: Any) -> Plan:
    return Plan(token, (3, -1), {"dataset": "dpo", "--filter": {"stages": ("rip",)}} | settings)


def begun(store: ObjectStoreSettings, token: str = "t1") -> Unfinished:
    unfinished = Unfinished(store, "new")
    unfinished.begin(plan(token))
    return unfinished


def everything(store: ObjectStoreSettings) -> list[str]:
    root = Path(store.url)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def ids(store: ObjectStoreSettings, name: str) -> set[str]:
    return Table(f"{store.url}/{name}", SAMPLE_SCHEMA).ids()


class After(Event):
    """Says that it is set from the `calls`-th question on."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls

    def is_set(self) -> bool:
        self._left -= 1
        return self._left <= 0


def test_what_is_begun_is_found_again_with_what_was_decided(store: ObjectStoreSettings) -> None:
    assert Unfinished(store, "new").plan() is None
    first = begun(store)
    first.add(ROWS[:2], 2)
    again = Unfinished(store, "new")
    found = again.plan()
    assert found is not None
    assert (found.token, found.versions, found.published) == ("t1", (3, -1), False)
    found.check_same(plan().settings)
    assert again.decided() == 2
    again.add(ROWS[2:], 6)
    again.add(ROWS[2:], 6)
    assert [each.sample_id for each in again.verdicts().samples(0)] == [row["id"] for row in ROWS]
    assert len(again.verdicts("accepted")) == 4


def test_other_settings_are_told_by_name_and_those_not_given_may_be_any() -> None:
    kept = plan(student="a", model="judge")
    kept.check_same({"dataset": "dpo"})
    with pytest.raises(Rejected, match=r"student is 'a' there, 'b' here\. .*--restart"):
        kept.check_same({"dataset": "dpo", "student": "b"})
    with pytest.raises(Rejected, match=r"--filter is \{'stages': \['rip'\]\} there, \{\} here"):
        kept.check_same({"--filter": {}})


def test_two_do_not_work_on_one_name(store: ObjectStoreSettings) -> None:
    first, late = begun(store), Unfinished(store, "new")
    with pytest.raises(Rejected, match="somebody else just began"):
        late.begin(plan("t2"))
    second = Unfinished(store, "new")
    assert second.plan() is not None
    assert (first.decided(), second.decided()) == (0, 0)
    first.add(ROWS[:2], 2)
    with pytest.raises(Moved):
        second.add(ROWS[:3], 3)
    assert len(Unfinished(store, "new")._folder("_refilter/new").entries()[0]) == 1


@pytest.mark.parametrize("name", ["new", "_rejected/new"])
def test_a_name_that_is_taken_is_refused(store: ObjectStoreSettings, name: str) -> None:
    Table(f"{store.url}/{name}", SAMPLE_SCHEMA).append(ROWS[:1], {})
    with pytest.raises(Rejected, match=r"is in .* already: give the new one another name"):
        begun(store)
    assert not (Path(store.url) / "_refilter").exists()


def test_a_dataset_is_made_of_both_tables_and_nothing_else_is_left(
    store: ObjectStoreSettings,
) -> None:
    unfinished = begun(store)
    unfinished.add(ROWS, 6)
    unfinished.publish(plan(), Event())
    found = Unfinished(store, "new").plan()
    assert found is not None
    assert found.published
    unfinished.clear(found)
    assert {path.name for path in Path(store.url).iterdir()} == {"_rejected", "new"}
    assert ids(store, "new") == {row["id"] for row in ROWS if row["accepted"]}
    assert ids(store, "_rejected/new") == {row["id"] for row in ROWS if not row["accepted"]}


@pytest.mark.parametrize("batch", [1, 2])
def test_a_publication_that_breaks_off_is_no_dataset_and_goes_on(
    store: ObjectStoreSettings, batch: int
) -> None:
    unfinished = begun(store)
    unfinished.add(ROWS, 6)
    with pytest.raises(Retryable, match="nothing is there"):
        unfinished.publish(plan(), After(batch))
    assert not Table(f"{store.url}/new", SAMPLE_SCHEMA).exists()
    assert Table(f"{store.url}/_rejected/new", SAMPLE_SCHEMA).exists() is (batch == 2)
    again = Unfinished(store, "new")
    found = again.plan()
    assert found is not None
    again.publish(found, Event())
    again.publish(found, Event())
    assert ids(store, "new") == {row["id"] for row in ROWS if row["accepted"]}
    assert Table(f"{store.url}/_rejected/new", SAMPLE_SCHEMA).count() == 2


@pytest.mark.parametrize("batch", [1, 2])
def test_what_is_discarded_leaves_nothing_and_its_name_is_free(
    store: ObjectStoreSettings, batch: int
) -> None:
    unfinished = begun(store)
    unfinished.add(ROWS, 6)
    with pytest.raises(Retryable):
        unfinished.publish(plan(), After(batch))
    Unfinished(store, "new").discard()
    assert everything(store) == []
    second = begun(store, "t2")
    assert second.decided() == 0


def test_verdicts_of_one_that_was_discarded_are_never_taken_for_those_of_another(
    store: ObjectStoreSettings,
) -> None:
    begun(store).add(ROWS, 6)
    (Path(store.url) / "_refilter/new/plan.json").unlink()  # As far as a discard came.
    second = begun(store, "t2")
    assert second.decided() == 0
    assert not (Path(store.url) / "_refilter/new/t1").exists()


def test_nothing_of_anothers_is_discarded(store: ObjectStoreSettings) -> None:
    begun(store)
    Table(f"{store.url}/_rejected/new", SAMPLE_SCHEMA).append(ROWS[:1], {})
    with pytest.raises(Rejected, match="already"):
        Unfinished(store, "new").discard()
    assert ids(store, "_rejected/new") == {ROWS[0]["id"]}
    Unfinished(store, "other").discard()


def test_a_whole_dataset_is_not_discarded(store: ObjectStoreSettings) -> None:
    unfinished = begun(store)
    unfinished.add(ROWS, 6)
    unfinished.publish(plan(), Event())
    with pytest.raises(Rejected, match="already"):
        Unfinished(store, "new").discard()
    assert len(ids(store, "new")) == 4


def test_a_damaged_plan_is_told(store: ObjectStoreSettings) -> None:
    begun(store)
    (Path(store.url) / "_refilter/new/plan.json").write_text("{")
    with pytest.raises(Rejected, match="is damaged"):
        Unfinished(store, "new").plan()


def test_a_bucket_takes_names_that_the_platform_can_open_only() -> None:
    with pytest.raises(Rejected, match="begin with a letter"):
        Unfinished(ObjectStoreSettings(url="s3://matrix"), "ümlaut")
