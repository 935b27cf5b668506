"""What schemas cannot see of a Kubernetes object: servers and controllers check it in code."""

import re
from collections.abc import Iterator
from typing import Any

Problems = Iterator[tuple[str, str]]
"""Path and message of each."""

_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LONGEST_LABEL = 63
_SHORT_NAMES = ("Service", "Namespace", "InferenceService")
_LONGEST_SCALED_NAME = 54
"""KEDA's autoscaler is called keda-hpa-NAME, in 63 characters."""
_WORDS = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "concurrencyPolicy": {"Allow", "Forbid", "Replace"},
    "podManagementPolicy": {"OrderedReady", "Parallel"},
    "terminationMessagePolicy": {"File", "FallbackToLogsOnError"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "dnsPolicy": {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"},
}
_TEMPLATES = {
    "Deployment": "spec.template",
    "StatefulSet": "spec.template",
    "DaemonSet": "spec.template",
    "ReplicaSet": "spec.template",
    "Job": "spec.template",
    "CronJob": "spec.jobTemplate.spec.template",
}
_MODES = {"Standard", "Knative", "RawDeployment", "Serverless", "ModelMesh"}
_SCALERS = {"hpa", "keda", "external", "none"}


def at(document: Any, path: str) -> dict[str, Any]:
    """Return the mapping at a path of keys; an empty one where there is none."""
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def pod_template(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return where the pod of a workload is, and what it is; a Pod is its own."""
    kind = document.get("kind", "")
    if kind == "Pod":
        return "", document
    path = _TEMPLATES.get(kind, "")
    return path, at(document, path) if path else {}


def broken_rules(document: dict[str, Any], custom: bool) -> Problems:
    """Yield path and message of each rule that an object breaks.

    Args:
        document: the object.
        custom: whether its kind is a custom one, whose words and quantities are its own.
    """
    yield from _name_problems(document)
    if document["kind"] != "CustomResourceDefinition":
        for path, node in _nodes(document):
            yield from _node_problems(path, node, custom)
    yield from _workload_problems(document)
    yield from _KINDS.get(document["kind"], _nothing)(document)


def _nodes(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _nodes(value, f"{path}[{number}]")


def _name_problems(document: dict[str, Any]) -> Problems:
    name = document["metadata"].get("name", "")
    if document["apiVersion"].startswith("rbac.authorization.k8s.io/"):
        return
    limit = _LONGEST_LABEL if document["kind"] in _SHORT_NAMES else 253
    if not _DNS_NAME.fullmatch(name) or len(name) > limit:
        yield "metadata.name", f"{name!r} is no DNS name of at most {limit} characters"


def _node_problems(path: str, node: Any, custom: bool) -> Problems:
    leaf = path.rsplit(".", 1)[-1]
    if leaf in ("labels", "matchLabels", "nodeSelector") and isinstance(node, dict):
        for key, value in node.items():
            part = str(key).rpartition("/")[2]
            if not part or not _LABEL.fullmatch(part) or len(part) > _LONGEST_LABEL:
                yield f"{path}.{key}", "is no label key"
            if isinstance(value, str) and (
                not _LABEL.fullmatch(value) or len(value) > _LONGEST_LABEL
            ):
                yield f"{path}.{key}", f"{value!r} is no label value"
    elif custom:
        return
    elif leaf in ("requests", "limits") and isinstance(node, dict) and "resources" in path:
        for key, value in node.items():
            if isinstance(value, str) and not _QUANTITY.fullmatch(value):
                yield f"{path}.{key}", f"{value!r} is no quantity"
    elif leaf in _WORDS and isinstance(node, str) and node not in _WORDS[leaf]:
        yield path, f"{node!r} is none of {sorted(_WORDS[leaf])}"


def _workload_problems(document: dict[str, Any]) -> Problems:
    path, template = pod_template(document)
    if not template:
        return
    pod, where = template.get("spec") or {}, f"{path}.spec".lstrip(".")
    claims = document["spec"].get("volumeClaimTemplates") or []
    volumes = {volume.get("name") for volume in pod.get("volumes") or []}
    volumes |= {claim["metadata"]["name"] for claim in claims}
    yield from _container_problems(pod, where, volumes)
    labels = template.get("metadata", {}).get("labels") or {}
    for key, value in at(document, "spec.selector.matchLabels").items():
        if labels.get(key) != value:
            yield "spec.selector.matchLabels", f"{key}={value} is no label of the pod template"
    if "Job" in document["kind"] and pod.get("restartPolicy") not in ("Never", "OnFailure"):
        yield f"{where}.restartPolicy", "must be Never or OnFailure in a Job"


def _container_problems(pod: dict[str, Any], where: str, volumes: set[Any]) -> Problems:
    names: set[str] = set()
    for kind in ("initContainers", "containers"):
        for number, container in enumerate(pod.get(kind) or []):
            here = f"{where}.{kind}[{number}]"
            if container.get("name") in names:
                yield f"{here}.name", f"{container['name']!r} is the name of another container"
            names.add(container.get("name"))
            for mount in container.get("volumeMounts") or []:
                if mount.get("name") not in volumes:
                    yield f"{here}.volumeMounts", f"there is no volume {mount.get('name')!r}"
            ports = {port.get("name") for port in container.get("ports") or []}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                for how in ("httpGet", "tcpSocket"):
                    port = at(container, f"{probe}.{how}").get("port")
                    if isinstance(port, str) and port not in ports:
                        yield f"{here}.{probe}.{how}.port", f"there is no port {port!r}"


def _nothing(document: dict[str, Any]) -> Problems:
    return iter(())


def _schedule(document: dict[str, Any]) -> Problems:
    schedule = document["spec"].get("schedule", "")
    if not schedule.startswith("@") and len(schedule.split()) != 5:
        yield "spec.schedule", f"{schedule!r} has not 5 fields"


def _budget(document: dict[str, Any]) -> Problems:
    if {"minAvailable", "maxUnavailable"} <= document["spec"].keys():
        yield "spec", "minAvailable and maxUnavailable exclude each other"


def _autoscaler(document: dict[str, Any]) -> Problems:
    low, high = document["spec"].get("minReplicas", 1), document["spec"]["maxReplicas"]
    if low > high:
        yield "spec.minReplicas", f"{low} is more than maxReplicas {high}"


def _scaled_object(document: dict[str, Any]) -> Problems:
    spec = document["spec"]
    low, high = spec.get("minReplicaCount") or 0, spec.get("maxReplicaCount", 100)
    if low > high:
        yield "spec.minReplicaCount", f"{low} is more than maxReplicaCount {high}"
    idle = spec.get("idleReplicaCount")
    if idle is not None and (idle != 0 or low == 0):
        yield "spec.idleReplicaCount", "must be 0, and less than minReplicaCount"
    if len(document["metadata"].get("name", "")) > _LONGEST_SCALED_NAME:
        yield "metadata.name", f"is longer than {_LONGEST_SCALED_NAME} characters"


def _inference_service(document: dict[str, Any]) -> Problems:
    notes = document["metadata"].get("annotations") or {}
    mode = notes.get("serving.kserve.io/deploymentMode", "Standard")
    scaler = notes.get("serving.kserve.io/autoscalerClass", "hpa")
    if mode not in _MODES:
        yield "metadata.annotations", f"there is no deploymentMode {mode!r}"
    if scaler not in _SCALERS:
        yield "metadata.annotations", f"there is no autoscalerClass {scaler!r}"
    if at(document, "spec.predictor.model").get("name"):
        yield "spec.predictor.model.name", "is not allowed in a predictor"


_KINDS = {
    "CronJob": _schedule,
    "PodDisruptionBudget": _budget,
    "HorizontalPodAutoscaler": _autoscaler,
    "ScaledObject": _scaled_object,
    "InferenceService": _inference_service,
}
