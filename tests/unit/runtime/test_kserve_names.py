"""Names of InferenceServices, and what their status says."""

from typing import Any

import pytest

from services.runtime.errors import Rejected
from services.runtime.kserve_endpoints import read_status, split_name


def isvc(**status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "models", "name": "teacher"}, "status": status}


def test_a_name_may_say_its_namespace() -> None:
    assert split_name("kserve://teacher") == ("", "teacher")
    assert split_name("kserve://models/teacher/") == ("models", "teacher")


@pytest.mark.parametrize("url", ["kserve://", "kserve://a/b/c", "kserve:///b", "http://a"])
def test_what_is_no_name_is_refused(url: str) -> None:
    with pytest.raises(Rejected, match="give kserve://NAME"):
        split_name(url)


def test_without_an_address_of_its_own_the_predictors_service_is_meant() -> None:
    found = read_status(isvc(), None)
    assert found.url == "http://teacher-predictor.models.svc"
    assert (found.ready, found.replicas) == (False, None)


def test_a_status_tells_address_readiness_and_why_not() -> None:
    address = {"predictor": {"address": {"url": "http://teacher-predictor.models:8080"}}}
    ready = read_status(
        isvc(components=address, conditions=[{"type": "Ready", "status": "True"}]), 2
    )
    assert (ready.url, ready.ready) == ("http://teacher-predictor.models:8080", True)
    why = {"type": "Ready", "status": "False", "reason": "MinimumReplicas", "message": "0 of 1"}
    assert read_status(isvc(conditions=[why]), 0).reason == "MinimumReplicas: 0 of 1"
