"""The chart, rendered by Helm's own engine, in the cases that it is tested in."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

from tests.deploy.object_rules import at, pod_template
from tests.deploy.strict_yaml import read_documents

CHART = Path(__file__).parents[2] / "helm" / "matrix"
RELEASE = NAMESPACE = "matrix"
Manifest = dict[str, Any]

EVERYTHING: Mapping[str, Any] = {
    "image": {"repository": "registry.example.com/matrix", "pullSecrets": [{"name": "registry"}]},
    "commonLabels": {"team": "data"},
    "kafka": {
        "username": "matrix-services",
        "clientCertificate": True,
        "staticMembership": True,
    },
    "objectStore": {"endpoint": "https://store.example.com", "caInSecret": True},
    "grpc": {"existingSecret": "tls", "tls": True, "clientCertificates": True, "callers": True},
    "settings": {"extraEnv": {"MATRIX_COMMUNICATION": "random"}},
    "services": {
        "agent-state": {
            "kafka": {"existingSecret": "matrix-agent-state", "username": "matrix-agent-state"},
            "env": {"MATRIX_MODELS__SLOTS": "32"},
        },
    },
    "nodeSelector": {"pool": "services"},
    "tolerations": [{"key": "services", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "autoscaling": {"keda": {"existingSecret": "matrix-keda", "username": "matrix-keda"}},
    "models": {
        "family": "granite",
        "kserve": {
            "existingSecret": "model-key",
            "storageSecrets": ["hf-token"],
            "runtimeClassName": "nvidia",
            "nodeSelector": {"gpu": "h100"},
            "podMonitorLabels": {"release": "prometheus"},
        },
        "servers": {
            "teacher": {"maxReplicas": 4, "promptPrice": 0.1, "completionPrice": 0.4},
            "student": {"minReplicas": 0, "maxReplicas": 2},
            "embedding": {
                "uri": "pvc://weights/embedding",
                "name": "our-embedding",
                "args": ["--dtype=float16"],
            },
        },
        "external": {
            "held-out": {
                "url": "https://models.example.com:8443/judge",
                "existingSecret": "judge",
                "promptPrice": 2,
            }
        },
    },
    "networkPolicy": {
        "kafka": [{"namespaceSelector": {"matchLabels": {"team": "kafka"}}}],
        "objectStore": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "externalModels": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
        "modelStorage": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}],
        "grpcClients": [{"namespaceSelector": {"matchLabels": {"team": "data"}}}],
        "tracing": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tracing"}}}
        ],
    },
    "controller": {"existingSecret": "tls"},
    "monitoring": {
        "podMonitor": True,
        "prometheusRule": True,
        "dashboards": True,
        "labels": {"release": "prometheus"},
        "runbookUrl": "https://docs.example.com/runbook",
    },
    "tracing": {"endpoint": "http://collector.tracing.svc:4317", "sampleRatio": 0.1},
    "setup": {"existingSecret": "matrix-operator", "username": "matrix-operator"},
}
"""All that can be switched on, and all that can be given."""


def values_file(name: str) -> dict[str, Any]:
    """Return the values of a file beside the chart's own."""
    values: dict[str, Any] = yaml.safe_load((CHART / name).read_text())
    return values


CASES: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "external": values_file("values-external.yaml"),
    "kind": values_file("values-kind.yaml"),
    "multi-gpu": values_file("values-multi-gpu.yaml"),
    "kind, watched": {
        **values_file("values-kind.yaml"),
        "monitoring": {"podMonitor": True, "prometheusRule": True},
    },
    "keda off": {"autoscaling": {"mode": "none"}},
    "hpa": {"autoscaling": {"mode": "hpa"}},
}


@functools.cache
def _chart() -> Chart:
    return Chart.load(str(CHART))


def default_values() -> dict[str, Any]:
    """Return the values of the chart itself."""
    return values_file("values.yaml")


def render(values: Mapping[str, Any], **options: Any) -> dict[str, str]:
    """Return what the chart renders to, by template.

    Raises:
        helm_python.HelmError: the values do not fit, or a template fails.
    """
    return _chart().render(dict(values), name=RELEASE, namespace=NAMESPACE, **options)


def manifests_of(values: Mapping[str, Any], **options: Any) -> list[Manifest]:
    """Return the objects that the chart renders to; raises as `render`."""
    found: list[Manifest] = []
    for name, text in render(values, **options).items():
        if not name.endswith("NOTES.txt"):
            found += read_documents(text)
    return found


@functools.cache
def rendered(case: str) -> tuple[Manifest, ...]:
    """Return the objects of a case."""
    return tuple(manifests_of(CASES[case]))


def of_kind(manifests: tuple[Manifest, ...] | list[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the objects of a kind, by name."""
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] == kind}


def pods(case: str) -> dict[str, tuple[dict[str, str], Manifest]]:
    """Return labels and spec of each pod of a case, by what it comes from.

    Those of models are as KServe makes them: container and volumes of the ServingRuntime, the rest
    of the InferenceService.
    """
    found: dict[str, tuple[dict[str, str], Manifest]] = {}
    for manifest in rendered(case):
        _, template = pod_template(manifest)
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if template:
            found[f"{kind}/{name}"] = (template["metadata"].get("labels", {}), template["spec"])
        elif kind == "InferenceService":
            predictor = manifest["spec"]["predictor"]
            runtime = of_kind(rendered(case), "ServingRuntime")[predictor["model"]["runtime"]]
            container = dict(runtime["spec"]["containers"][0])
            container["resources"] = predictor["model"]["resources"]
            labels = {
                **at(manifest, "metadata.labels"),
                "serving.kserve.io/inferenceservice": name,
                "component": "predictor",
            }
            spec = {**predictor, "containers": [container], "volumes": runtime["spec"]["volumes"]}
            found[f"{kind}/{name}"] = (labels, spec)
    return found


def containers(spec: Manifest) -> list[Manifest]:
    """Return all containers of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]
