"""The CEL rules of the CRD, evaluated as an API server does: what may not be, nor change."""

from pathlib import Path
from typing import Any

import celpy
import pytest
from celpy.adapter import json_to_cel

from tests.integration.kubernetes_schemas import crd_schema

ROOT = Path(__file__).parents[3]
SCHEMA = crd_schema(ROOT / "helm" / "matrix" / "crds" / "datasets.matrix.dev.yaml")
SPEC = SCHEMA["properties"]["spec"]
FILTER = SPEC["properties"]["filter"]
OTHER: dict[str, Any] = {
    "kind": "dpo",
    "size": 4,
    "continuous": True,
    "requirement": "other",
    "weight": 2.0,
    "filter": {"responses": 3},
    "seed": 2,
    "categories": ["b"],
    "complexities": [2],
    "styles": ["b"],
    "balance": "even",
    "steer": "none",
}


def broken(schema: Any, value: Any, old: Any = None) -> list[str]:
    """Return the messages of the rules that a value breaks; rules of change need an old one."""
    environment, messages = celpy.Environment(), []
    for rule in schema["x-kubernetes-validations"]:
        if "oldSelf" in rule["rule"] and old is None:
            continue
        program = environment.program(environment.compile(rule["rule"]))
        if not program.evaluate({"self": json_to_cel(value), "oldSelf": json_to_cel(old)}):
            messages.append(rule["message"])
    return messages


def made(accepted: str = "", name: str = "d", **spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {"name": name}, "spec": {"kind": "sft", **spec}}
    if accepted:
        found["status"] = {"conditions": [{"type": "Accepted", "status": accepted}]}
    return found


@pytest.mark.parametrize(
    ("spec", "right"),
    [
        ({"size": 1}, True),
        ({"continuous": True}, True),
        ({"size": 1, "continuous": False}, True),
        ({}, False),
        ({"continuous": False}, False),
        ({"size": 1, "continuous": True}, False),
    ],
)
def test_an_order_has_a_size_or_is_continuous(spec: dict[str, Any], right: bool) -> None:
    assert (broken(SPEC, {"kind": "sft", **spec}) == []) == right


@pytest.mark.parametrize("what", ["InstructionWords", "ResponseWords", "TraceWords", "Turns"])
def test_a_least_is_not_above_its_most(what: str) -> None:
    assert broken(FILTER, {f"min{what}": 3, f"max{what}": 2}) == [f"min{what} is above max{what}"]
    assert broken(FILTER, {f"min{what}": 2, f"max{what}": 2}) == []
    assert broken(FILTER, {f"min{what}": 3}) == []


def test_a_name_is_short_enough_for_a_dataset() -> None:
    assert broken(SCHEMA, made(name="d" * 60)) == []
    assert len(broken(SCHEMA, made(name="d" * 61))) == 1


@pytest.mark.parametrize("field", OTHER)
def test_an_accepted_order_keeps_what_no_rpc_changes(field: str) -> None:
    old, new = made("True", size=3), made("True", size=3)
    new["spec"][field] = OTHER[field]
    assert len(broken(SCHEMA, new, old)) == 1  # Set, or set to something else.
    if field not in ("kind", "size"):
        assert len(broken(SCHEMA, old, new)) == 1  # Taken away.
    for undecided in ("", "False"):
        assert broken(SCHEMA, new, made(undecided, size=3)) == []


def test_an_accepted_order_may_be_paused_and_released() -> None:
    new = made("True", size=3, paused=True, deletionPolicy="Cancel")
    assert broken(SCHEMA, new, made("True", size=3)) == []
