"""The chart renders, for every version of Kubernetes that it is for, to what a cluster takes."""

import copy
import functools
import warnings

import helm_python
import pytest

from tests.deploy.kubernetes_schemas import Schemas
from tests.deploy.rendering import CASES, CHART, of_kind, render, rendered
from tests.deploy.validate import VERSIONS, custom_schemas, problems_of, unknown_kinds


@functools.cache
def schemas(version: str) -> Schemas:
    return Schemas(version, custom_schemas())


@pytest.mark.filterwarnings("default:not validated:UserWarning")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid(case: str, version: str) -> None:
    manifests = rendered(case)
    assert len(manifests) > 20
    unknown = unknown_kinds(manifests, schemas(version))
    if unknown and custom_schemas() == ():
        warnings.warn(
            f"not validated, for MATRIX_CRD_SCHEMAS names no folder: {', '.join(unknown)}",
            stacklevel=1,
        )
    assert problems_of(manifests, schemas(version), ignore_unknown=not custom_schemas()) == []


@pytest.mark.parametrize("case", CASES)
def test_kinds_that_no_folder_has_are_custom_ones(case: str) -> None:
    # Without the folder of schemas only these go unvalidated.
    groups = ("keda.sh/", "serving.kserve.io/", "monitoring.coreos.com/")
    unknown = unknown_kinds(rendered(case), Schemas(VERSIONS[0]))
    assert [kind for kind in unknown if not kind.startswith(groups)] == []


def test_a_broken_object_is_noticed() -> None:
    manifests = copy.deepcopy(list(rendered("defaults")))
    service = of_kind(manifests, "StatefulSet")["matrix-agent-state"]
    service["spec"]["replica"] = 3
    service["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "2 GB"
    service["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] = "other"
    service["spec"]["template"]["spec"]["volumes"] = []
    of_kind(manifests, "PodDisruptionBudget")["matrix-agent-state"]["spec"]["minAvailable"] = 1
    manifests.append(of_kind(manifests, "ConfigMap")["matrix-settings"])
    told = "\n".join(problems_of(manifests, schemas("1.33"), ignore_unknown=True))
    for part in (
        "'replica' was unexpected",
        "'2 GB' is no quantity",
        "component=agent-state is no label of the pod template",
        "there is no volume 'tmp'",
        "exclude each other",
        "ConfigMap/matrix-settings: metadata.name: is that of document",
    ):
        assert part in told
    manifests = copy.deepcopy(list(rendered("defaults")))
    manifests[0]["kind"] = "ConfigMop"
    assert "no schema of v1" in problems_of(manifests[:1], schemas("1.33"), ignore_unknown=False)[0]


@pytest.mark.skipif(not custom_schemas(), reason="MATRIX_CRD_SCHEMAS names no folder of schemas")
def test_a_broken_custom_object_is_noticed() -> None:
    manifests = copy.deepcopy(list(rendered("everything")))
    scaled = of_kind(manifests, "ScaledObject")["matrix-agent-state"]["spec"]
    scaled["triggers"][0]["metadata"]["lagThreshold"] = 50
    scaled["minReplicaCount"] = 99
    model = of_kind(manifests, "InferenceService")["matrix-teacher"]
    model["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] = "our own"
    told = "\n".join(problems_of(manifests, schemas("1.33"), ignore_unknown=False))
    assert "50 is not of type 'string'" in told
    assert "99 is more than maxReplicaCount 16" in told
    assert "no autoscalerClass 'our own'" in told


def test_helms_own_linter_has_nothing_to_say() -> None:
    found = helm_python.lint(str(CHART))
    told = [each for each in found["messages"] if "icon is recommended" not in each["error"]]
    assert told == found["errors"] == []


@pytest.mark.parametrize("case", CASES)
def test_the_notes_say_what_to_do_next(case: str) -> None:
    notes = render(CASES[case])["matrix/templates/NOTES.txt"]
    assert "helm test matrix -n matrix" in notes
    assert ("get inferenceservices" in notes) == bool(of_kind(rendered(case), "InferenceService"))


def test_names_follow_the_release() -> None:
    manifests = [
        m["metadata"]["name"]
        for m in rendered("defaults")
        if m["kind"] not in ("PriorityClass", "CustomResourceDefinition")
    ]
    assert [name for name in manifests if not name.startswith("matrix")] == []
