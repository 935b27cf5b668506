"""Conditions by the conventions of the Kubernetes API, and how fast a dataset is filled."""

from typing import Any

from matrix.instruction_generation.v1.service_pb2 import Dataset

from services.controller.rates import Rates
from services.controller.standing import progressed, refused, truth, unreached


def told(accepted: int, size: int = 3, **order: Any) -> Dataset:
    found = Dataset()
    found.status.state = "filled" if accepted == size else "filling"
    found.status.accepted, found.status.size = accepted, size
    found.status.wanted = size - accepted
    found.order.continuous = order.get("continuous", False)
    return found


def since(status: dict[str, Any], kind: str) -> str:
    return next(str(c["lastTransitionTime"]) for c in status["conditions"] if c["type"] == kind)


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = progressed({}, told(0), 1, 0.0, None, "")
    second = progressed(first, told(2), 1, 60.0, 120.0, "s3://b/d")
    full = progressed(second, told(3), 1, 120.0, 90.0, "s3://b/d")
    assert since(second, "Accepted") == since(first, "Accepted") == "1970-01-01T00:00:00Z"
    assert (since(second, "Complete"), since(full, "Complete")) == (
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:02:00Z",
    )
    assert truth(full, "Complete") == "True"
    assert ("rate" in first, "snapshotURI" in first) == (False, False)
    assert (second["rate"], second["snapshotURI"]) == (120.0, "s3://b/d")


def test_a_status_is_not_changed_where_it_was() -> None:
    before = progressed({}, told(0), 1, 0.0, None, "")
    kept = repr(before)
    unreached(before, "away", 1, 60.0)
    refused(before, "Ended", "gone", 1, 60.0)
    assert repr(before) == kept


def test_a_platform_that_is_away_changes_nothing_but_that() -> None:
    before = progressed({}, told(2), 1, 0.0, None, "")
    away = unreached(before, "no answer", 1, 60.0)
    assert (truth(away, "Synced"), truth(away, "Accepted")) == ("False", "True")
    assert (away["phase"], away["accepted"]) == ("Filling", 2)
    assert unreached({}, "no answer", 1, 0.0)["phase"] == "Pending"


def test_a_continuous_dataset_is_never_complete() -> None:
    status = progressed({}, told(3, continuous=True), 1, 0.0, None, "")
    assert truth(status, "Complete") == "False"


def test_the_rate_is_that_of_the_window() -> None:
    rates = Rates(window_seconds=100.0)
    assert rates.observe("u", 0, 0.0) is None
    assert rates.observe("u", 10, 100.0) == 360.0
    assert rates.observe("u", 10, 200.0) == 0.0
    assert rates.observe("u", 13, 250.0) == 72.0
    assert rates.observe("u", 1, 300.0) is None
    rates.forget("u")
    assert rates.observe("u", 5, 400.0) is None
