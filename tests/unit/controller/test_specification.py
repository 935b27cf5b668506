"""The CRD says what CreateDataset takes, and the filter's ranges are those of the platform."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from matrix.instruction_generation.v1.service_pb2 import CreateDatasetRequest, FilterOverrides

from services.controller.specification import OWN_FIELDS, deletion_policy, ordered, wants_pause
from services.events.filters import STAGES
from services.instruction_generation.knobs import BALANCES
from services.instruction_generation.orders import MAX_SIZE, MAX_WEIGHT
from services.kinds import MAX_DOMAIN, check_steer, find_kind
from services.runtime.errors import Rejected
from tests.integration.generating import KINDS
from tests.integration.kubernetes_schemas import crd_schema, pruned

ROOT = Path(__file__).parents[3]
SCHEMA = crd_schema(ROOT / "helm" / "matrix" / "crds" / "datasets.matrix.dev.yaml")
SPEC: dict[str, Any] = SCHEMA["properties"]["spec"]["properties"]
_TYPES = {"int64": "integer", "double": "number", "bool": "boolean", "string": "string"}


def json_names(message: Any) -> set[str]:
    return {field.json_name for field in message.DESCRIPTOR.fields}


def test_the_spec_has_the_fields_of_the_request_and_its_own() -> None:
    assert set(SPEC) == json_names(CreateDatasetRequest) - {"name"} | OWN_FIELDS
    assert set(SPEC["filter"]["properties"]) == json_names(FilterOverrides)


def test_bounds_are_those_of_the_platform() -> None:
    assert SPEC["size"]["maximum"] == MAX_SIZE
    assert SPEC["weight"]["maximum"] == MAX_WEIGHT
    assert SPEC["requirement"]["maxLength"] == MAX_DOMAIN
    assert tuple(SPEC["balance"]["enum"]) == BALANCES
    assert tuple(SPEC["filter"]["properties"]["stages"]["items"]["enum"]) == STAGES


def test_the_rule_of_immutability_names_every_field_that_no_rpc_changes() -> None:
    (rule,) = (
        each["rule"] for each in SCHEMA["x-kubernetes-validations"] if "oldSelf" in each["rule"]
    )
    for name in SPEC:
        assert (f"self.spec.{name} == oldSelf.spec.{name}" in rule) == (name not in OWN_FIELDS)


def test_a_spec_becomes_the_request_of_its_object() -> None:
    spec = {
        "kind": "domain",
        "size": 30,
        "requirement": "pharmacy",
        "weight": 0.5,
        "filter": {"maxJaccard": 0.5, "stages": ["static"], "tellResponseWords": False},
        "complexities": [1, 2],
        "paused": True,
        "deletionPolicy": "Retain",
    }
    request = ordered("d", spec)
    assert (request.name, request.kind, request.size) == ("d", "domain", 30)
    assert request.filter == FilterOverrides(
        max_jaccard=0.5, stages=["static"], tell_response_words=False
    )
    assert list(request.complexities) == [1, 2]
    assert wants_pause(spec)
    assert deletion_policy(spec) == "Retain"
    assert deletion_policy({}) == "Pause"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"kind": "sft", "sise": 3}, "sise"),
        ({"kind": "sft", "size": "many"}, "size"),
        ({"kind": "sft", "name": "e"}, "spec.name is no field"),
    ],
)
def test_a_spec_that_cannot_be_read_is_refused(spec: dict[str, Any], told: str) -> None:
    with pytest.raises(Rejected, match=told):
        ordered("d", spec)


def test_the_examples_are_orders_by_the_schema() -> None:
    text = (ROOT / "k8s" / "samples" / "datasets.yaml").read_text(encoding="utf-8")
    examples = list(yaml.safe_load_all(text))
    assert len(examples) >= 4
    for each in examples:
        assert pruned(each, SCHEMA) == each
        jsonschema.Draft4Validator(SCHEMA).validate(each)
        request = ordered(each["metadata"]["name"], each["spec"])
        kind = find_kind(KINDS, request.kind)
        assert bool(request.requirement) == (kind.name == "domain")
        check_steer(request.steer or kind.steer, kind.recipe)


def test_a_policy_that_there_is_not_is_refused() -> None:
    with pytest.raises(Rejected, match="'Delete': give one of Pause, Retain, Cancel"):
        deletion_policy({"deletionPolicy": "Delete"})
