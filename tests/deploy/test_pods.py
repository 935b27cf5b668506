"""Every pod is confined: its rights, its file system, its network, its resources."""

import pytest

from tests.deploy.network import Network, Place
from tests.deploy.object_rules import pod_template
from tests.deploy.rendering import (
    CASES,
    EVERYTHING,
    RELEASE,
    Manifest,
    containers,
    manifests_of,
    of_kind,
    pods,
    rendered,
)

SERVICES = (
    "agent-state",
    "message-modulation",
    "scenario-extraction",
    "instruction-generation",
    "reward-filtering",
)
WITH_TOKEN = {"controller"}
"""Components that talk to the API server."""
DNS = Place({}, "kube-system")


def place(case: str, name: str) -> Place:
    return Place(pods(case)[name][0])


def network(case: str) -> Network:
    return Network(
        list(of_kind(rendered(case), "NetworkPolicy").values()),
        {"grpc": 50051, "http": 8000, "metrics": 9464},
    )


@pytest.mark.parametrize("case", CASES)
def test_no_container_runs_as_root_or_gains_rights(case: str) -> None:
    for name, (_, spec) in pods(case).items():
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True, name
        assert pod["runAsUser"] > 0, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            assert not spec.get(key), name
        for container in containers(spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert "privileged" not in context, name
            assert context.get("runAsUser", 1) > 0, name


@pytest.mark.parametrize("case", CASES)
def test_no_container_writes_its_root_file_system(case: str) -> None:
    for name, (_, spec) in pods(case).items():
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        for container in containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            for mount in container.get("volumeMounts", []):
                volume = volumes[mount["name"]]
                # Bounded, or a pod could fill its node.
                written = volume.get("emptyDir", {}).get("sizeLimit")
                assert mount.get("readOnly") or written, (name, mount)
                assert not volume.keys() - {"name", "emptyDir", "secret", "configMap"}, name


@pytest.mark.parametrize("case", CASES)
def test_only_who_talks_to_the_api_server_has_a_token(case: str) -> None:
    accounts = of_kind(rendered(case), "ServiceAccount")
    for name, (labels, spec) in pods(case).items():
        if labels["app.kubernetes.io/component"] in WITH_TOKEN:
            continue
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        if "serviceAccountName" in spec:
            assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
        else:
            assert name == f"Job/{RELEASE}-setup"


@pytest.mark.parametrize("case", CASES)
def test_every_container_says_what_it_needs_at_least_and_of_memory_at_most(case: str) -> None:
    for name, (_, spec) in pods(case).items():
        for container in containers(spec):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), name
            assert "memory" in resources["limits"], name


@pytest.mark.parametrize("case", CASES)
def test_there_is_no_secret_in_the_chart(case: str) -> None:
    assert of_kind(rendered(case), "Secret") == {}


@pytest.mark.parametrize("case", CASES)
def test_every_pod_is_covered_by_a_network_policy(case: str) -> None:
    policies = network(case)
    nothing = Place(None)
    for name, (labels, _) in pods(case).items():
        assert policies.isolates(labels, "Ingress"), name
        assert policies.isolates(labels, "Egress"), name
        assert not policies.allows(nothing, Place(labels), 50051), name
        assert not policies.allows(Place(labels), nothing, 22), name
        assert policies.allows(Place(labels), DNS, 53, "UDP"), name


@pytest.mark.parametrize("case", CASES)
def test_pods_reach_what_they_need_and_nothing_else(case: str) -> None:
    policies = network(case)
    services = {name: place(case, f"StatefulSet/{RELEASE}-{name}") for name in SERVICES}
    setup, test = place(case, f"Job/{RELEASE}-setup"), place(case, f"Pod/{RELEASE}-test")
    stranger = Place({"app": "stranger"})
    kafka = Place({}, "kafka") if case == "everything" else Place(None)
    for name, service in services.items():
        for other in services.values():
            assert policies.allows(service, other, 50051), name
        assert policies.allows(test, service, 50051)
        assert not policies.allows(setup, service, 50051)
        assert not policies.allows(stranger, service, 50051)
        if case != "everything":
            assert policies.allows(service, kafka, 9093)
        assert policies.allows(Place({}, "monitoring"), service, 9464)
        assert not policies.allows(Place({}, "monitoring"), service, 50051)
        assert not policies.allows(Place({}, "other"), service, 9464)
        assert not policies.allows(stranger, service, 9464)
        collector = Place({}, "tracing")
        assert policies.allows(service, collector, 4317) == (case == "everything")
        store = 443 if case in ("everything", "external") else 8333
        writes = name == "reward-filtering"
        if case != "external":
            assert policies.allows(service, Place(None), store) == writes, name
        for pod, (labels, _) in pods(case).items():
            model = Place(labels)
            if pod.startswith("InferenceService/"):
                assert policies.allows(service, model, 8080)
                assert not policies.allows(stranger, model, 8080)
                assert not policies.allows(test, model, 8080)
                assert not policies.allows(model, service, 50051)
                assert policies.allows(Place({}, "monitoring"), model, 8080)
                assert not policies.allows(Place({}, "other"), model, 8080)
            elif pod.endswith("simulated-model"):
                assert policies.allows(service, model, 8000)
                assert not policies.allows(stranger, model, 8000)
                assert policies.allows(Place({}, "monitoring"), model, 8000)
    assert policies.allows(setup, Place(None), 8333 if case.startswith("kind") else store)
    assert not policies.allows(test, Place(None), 9093)


def test_named_peers_are_all_that_is_reached() -> None:
    policies = network("everything")
    service = place("everything", "StatefulSet/matrix-agent-state")
    assert not policies.allows(service, Place(None), 9093)
    assert policies.allows(service, Place(None), 8443)  # the held-out judge's
    assert not policies.allows(service, Place({}, "other"), 8443)


def test_policies_can_be_left_to_others() -> None:
    manifests = manifests_of({"networkPolicy": {"enabled": False}})
    assert of_kind(manifests, "NetworkPolicy") == {}


def test_all_images_follow_one_value() -> None:
    def images(values: dict[str, object]) -> set[str]:
        found: set[str] = set()
        for manifest in manifests_of({**CASES["kind"], "image": values}):
            spec = pod_template(manifest)[1].get("spec")
            found |= {container["image"] for container in containers(spec)} if spec else set()
        return found

    assert images({"repository": "r.example/matrix"}) == {"r.example/matrix:0.1.0"}
    assert images({"repository": "matrix", "tag": "9.9"}) == {"matrix:9.9"}
    digest = "sha256:" + "0" * 64
    assert images({"repository": "matrix", "tag": "9.9", "digest": digest}) == {f"matrix@{digest}"}


@pytest.mark.parametrize("case", CASES)
def test_there_are_two_images_at_most(case: str) -> None:
    images = {c["image"] for _, spec in pods(case).values() for c in containers(spec)}
    servers = {image for image in images if "vllm" in image}
    assert len(images - servers) == 1
    assert len(servers) == bool(of_kind(rendered(case), "InferenceService"))


@pytest.mark.parametrize("case", CASES)
def test_a_pod_that_is_evicted_has_another_beside_it(case: str) -> None:
    budgets = of_kind(rendered(case), "PodDisruptionBudget")
    for name, workload in of_kind(rendered(case), "StatefulSet").items():
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        assert budgets[name]["spec"]["selector"] == workload["spec"]["selector"]
        spread = workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in spread} == {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }


def test_secrets_are_the_ones_that_were_named() -> None:
    named: set[str] = set()

    def look(node: object) -> None:
        if isinstance(node, dict):
            if "secretKeyRef" in node:
                named.add(node["secretKeyRef"]["name"])
            if "secretName" in node:
                named.add(node["secretName"])
            for value in node.values():
                look(value)
        elif isinstance(node, list):
            for value in node:
                look(value)

    def secrets(values: Manifest) -> set[str]:
        named.clear()
        for manifest in manifests_of(values):
            look(manifest)
        return set(named)

    assert secrets({}) == {"matrix-kafka-services", "matrix-store"}
    assert secrets(dict(EVERYTHING)) == {
        "matrix-kafka-services",
        "matrix-agent-state",
        "matrix-operator",
        "matrix-store",
        "tls",
        "model-key",
        "judge",
    }
