"""Who scales what, on what, and that an upgrade does not undo it."""

from typing import Any

import pytest

from services.runtime.settings import Settings
from tests.deploy.rendering import CASES, Manifest, manifests_of, of_kind, pods, rendered


def scaled_services(case: str) -> dict[str, Manifest]:
    workloads = of_kind(rendered(case), "StatefulSet")
    return {n: s for n, s in of_kind(rendered(case), "ScaledObject").items() if n in workloads}


def scaled_models(case: str) -> dict[str, Manifest]:
    models = of_kind(rendered(case), "InferenceService")
    return {n: s for n, s in of_kind(rendered(case), "ScaledObject").items() if n in models}


def template(values: dict[str, Any]) -> Any:
    return of_kind(manifests_of(values), "StatefulSet")["matrix-agent-state"]["spec"]["template"]


@pytest.mark.parametrize("case", CASES)
def test_what_is_scaled_has_no_replicas_of_its_own(case: str) -> None:
    targets = {
        (m["spec"]["scaleTargetRef"]["kind"], m["spec"]["scaleTargetRef"]["name"])
        for m in rendered(case)
        if m["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")
    }
    for name, workload in of_kind(rendered(case), "StatefulSet").items():
        assert ("replicas" in workload["spec"]) == (("StatefulSet", name) not in targets)
    expected = {("StatefulSet", name) for name in of_kind(rendered(case), "StatefulSet")}
    expected |= {("Deployment", f"{name}-predictor") for name in scaled_models(case)}
    assert targets == (set() if case in ("kind", "kind, watched", "keda off") else expected)


@pytest.mark.parametrize("case", CASES)
def test_lag_that_one_pod_works_on_is_no_reason_for_another(case: str) -> None:
    for scaled in scaled_services(case).values():
        for trigger in scaled["spec"]["triggers"]:
            known = trigger["metadata"]
            assert all(isinstance(value, str) for value in known.values())
            assert int(known["lagThreshold"]) > Settings.model_fields["max_pending"].default
            # A consumer that commits once a minute would look stuck.
            assert "excludePersistentLag" not in known
        assert scaled["spec"]["minReplicaCount"] >= 1


def test_keda_shows_the_brokers_who_it_is() -> None:
    trigger = scaled_services("defaults")["matrix-agent-state"]["spec"]["triggers"][0]
    assert trigger["metadata"]["sasl"] == "scram_sha512"
    assert trigger["metadata"]["tls"] == "enable"
    access = of_kind(rendered("defaults"), "TriggerAuthentication")
    assert access[trigger["authenticationRef"]["name"]]["spec"]["secretTargetRef"] == [
        {"parameter": "username", "name": "matrix-kafka-services", "key": "username"},
        {"parameter": "password", "name": "matrix-kafka-services", "key": "password"},
        {"parameter": "ca", "name": "matrix-kafka-services", "key": "ca.crt"},
    ]
    [spec] = [a["spec"] for a in of_kind(rendered("everything"), "TriggerAuthentication").values()]
    assert {each["name"] for each in spec["secretTargetRef"]} == {"matrix-keda"}
    parameters = [each["parameter"] for each in spec["secretTargetRef"]]
    assert parameters == ["password", "ca", "cert", "key"]
    [source] = spec["configMapTargetRef"]
    names = of_kind(rendered("everything"), "ConfigMap")
    assert names[source["name"]]["data"][source["key"]] == "matrix-keda"


def test_large_numbers_are_written_out() -> None:
    # Helm reads numbers as floating point, and would write 1e+06.
    values = {
        "settings": {"maxPending": 1_000_000},
        "autoscaling": {"keda": {"lagThreshold": 2_000_000}},
        "models": {"servers": {"teacher": {"maxModelLen": 1_000_000}}},
    }
    manifests = manifests_of(values)
    assert of_kind(manifests, "ConfigMap")["matrix-settings"]["data"]["MATRIX_MAX_PENDING"] == (
        "1000000"
    )
    scaled = of_kind(manifests, "ScaledObject")["matrix-agent-state"]["spec"]
    assert scaled["triggers"][0]["metadata"]["lagThreshold"] == "2000000"
    model = of_kind(manifests, "InferenceService")["matrix-teacher"]["spec"]["predictor"]["model"]
    assert "--max-model-len=1000000" in model["args"]


@pytest.mark.parametrize(
    ("kafka", "tls"),
    [
        ({"securityProtocol": "PLAINTEXT"}, "disable"),
        ({"securityProtocol": "SSL", "caInSecret": False}, "enable"),
    ],
)
def test_brokers_that_ask_for_nothing_need_no_secret(kafka: dict[str, Any], tls: str) -> None:
    manifests = manifests_of({"kafka": {**kafka, "existingSecret": ""}})
    assert of_kind(manifests, "TriggerAuthentication") == {}
    for scaled in of_kind(manifests, "ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            assert "authenticationRef" not in trigger
            assert trigger["metadata"]["tls"] == tls
            assert "sasl" not in trigger["metadata"]


@pytest.mark.parametrize("case", CASES)
def test_replicas_of_a_model_are_the_scalers_or_fixed(case: str) -> None:
    for name, model in of_kind(rendered(case), "InferenceService").items():
        notes = model["metadata"]["annotations"]
        assert notes["serving.kserve.io/deploymentMode"] == "Standard"
        external = name in scaled_models(case)
        expected = "external" if external else "none"
        assert notes["serving.kserve.io/autoscalerClass"] == expected
        assert ("minReplicas" in model["spec"]["predictor"]) != external


def test_a_model_is_added_when_its_slots_are_taken() -> None:
    scaled = scaled_models("multi-gpu")
    assert set(scaled) == {"matrix-teacher", "matrix-student", "matrix-reward"}
    spec = scaled["matrix-teacher"]["spec"]
    [load] = spec["triggers"]
    assert load["metricType"] == "AverageValue"
    assert load["metadata"]["threshold"] == "819"  # 80 % of 1,024
    assert 'serving_kserve_io_inferenceservice="matrix-teacher"' in load["metadata"]["query"]
    assert 'namespace="matrix"' in load["metadata"]["query"]
    # Without Prometheus nothing is known, and GPUs stay.
    assert load["metadata"]["ignoreNullValues"] == "false"
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 8)
    [monitor] = of_kind(rendered("multi-gpu"), "PodMonitor").values()
    assert monitor["spec"]["podTargetLabels"] == ["serving.kserve.io/inferenceservice"]


def test_a_model_that_sleeps_is_woken_by_work_that_waits() -> None:
    spec = scaled_models("everything")["matrix-student"]["spec"]
    assert spec["minReplicaCount"] == 0
    load, *lags = spec["triggers"]
    # No metrics are what is to be expected of no pods; a fallback would wake it for good.
    assert load["metadata"]["ignoreNullValues"] == "true"
    assert "fallback" not in spec
    assert [lag["metadata"]["consumerGroup"] for lag in lags] == ["reward_filtering"]
    assert int(lags[0]["metadata"]["lagThreshold"]) >= 10**9


@pytest.mark.parametrize("case", CASES)
def test_servers_that_share_a_gpu_leave_room_for_each_other(case: str) -> None:
    models = of_kind(rendered(case), "InferenceService").values()
    shares = [
        float(argument.partition("=")[2])
        for model in models
        for argument in model["spec"]["predictor"]["model"]["args"]
        if argument.startswith("--gpu-memory-utilization=")
    ]
    assert len(shares) == len(models)
    if case == "multi-gpu":
        assert min(shares) > 0.9
    else:
        # What is left is for the drivers' contexts, which are not counted.
        assert sum(shares) <= 0.92


@pytest.mark.parametrize(
    ("role", "arguments"),
    [
        ("teacher", ["--scheduling-policy=priority"]),
        ("student", ["--scheduling-policy=priority"]),
        ("reward", ["--runner=pooling", "--convert=classify"]),
        ("embedding", ["--runner=pooling", "--convert=embed"]),
    ],
)
def test_a_model_is_served_as_its_role_needs(role: str, arguments: list[str]) -> None:
    model = of_kind(rendered("defaults"), "InferenceService")[f"matrix-{role}"]
    served = model["spec"]["predictor"]["model"]
    assert [each for each in arguments if each not in served["args"]] == []
    assert served["runtime"] in of_kind(rendered("defaults"), "ServingRuntime")
    assert served["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert served["storageUri"].startswith("hf://")


def test_one_value_chooses_the_family() -> None:
    def weights(values: dict[str, Any]) -> dict[str, str]:
        models = of_kind(manifests_of(values), "InferenceService")
        return {n: m["spec"]["predictor"]["model"]["storageUri"] for n, m in models.items()}

    ours, theirs = weights({}), weights({"models": {"family": "granite"}})
    assert ours["matrix-teacher"] != theirs["matrix-teacher"]
    assert ours["matrix-student"] != theirs["matrix-student"]
    assert ours["matrix-embedding"] == theirs["matrix-embedding"]


def test_other_settings_are_other_pods_and_other_limits_are_not() -> None:
    now = template({})
    assert template({"settings": {"logFormat": "console"}}) != now
    assert template({"services": {"agent-state": {"maxReplicas": 32}}}) == now
    assert template({"autoscaling": {"mode": "hpa"}}) == now
    assert template({"models": {"servers": {"teacher": {"minReplicas": 1}}}}) == now


@pytest.mark.parametrize("case", CASES)
def test_another_version_of_the_chart_is_no_other_pod(case: str) -> None:
    # Labels of an InferenceService are labels of its pods.
    changing = {"helm.sh/chart", "app.kubernetes.io/version"}
    for name, (labels, _) in pods(case).items():
        # The test's pod is made anew each time.
        assert name == "Pod/matrix-test" or not changing & labels.keys(), name
    for workload in of_kind(rendered(case), "StatefulSet").values():
        assert not changing & workload["spec"]["selector"]["matchLabels"].keys()


def test_the_setup_job_needs_nothing_that_is_not_there_yet() -> None:
    [job] = of_kind(rendered("defaults"), "Job").values()
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    spec = job["spec"]["template"]["spec"]
    assert "serviceAccountName" not in spec
    assert "priorityClassName" not in spec
    assert "configMap" not in str(spec)
    assert [c["command"][1] for c in spec["initContainers"]] == ["topics"]
    assert [c["command"][1] for c in spec["containers"]] == ["bucket"]
    assert of_kind(manifests_of({"setup": {"topics": False, "bucket": False}}), "Job") == {}
    [job] = of_kind(manifests_of({"setup": {"bucket": False}}), "Job").values()
    assert [c["name"] for c in job["spec"]["template"]["spec"]["containers"]] == ["topics"]
