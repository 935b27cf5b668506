"""Models named as InferenceServices of KServe, `kserve://NAME` or `kserve://NAMESPACE/NAME`.

It asks the API server through the client of Kubernetes (extra `kserve`), which is loaded at the
first name only; the package `kserve` pins an old protobuf (ops/decisions/0023).
"""

import asyncio
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from services.runtime.errors import NotFound, Rejected, Retryable

SCHEME = "kserve://"
_GROUP, _VERSION, _PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class InferenceService:
    """An InferenceService, as its status tells."""

    namespace: str
    name: str
    url: str
    """Base address of its predictor inside of the cluster, without /v1."""
    ready: bool
    reason: str
    """Why it is not ready; empty when it is, or when it does not say."""
    replicas: int | None
    """Pods of the predictor that are ready; None when that is not told."""


def is_named(url: str) -> bool:
    """Return whether a model's URL names an InferenceService."""
    return url.startswith(SCHEME)


def split_name(url: str) -> tuple[str, str]:
    """Return namespace ("" for one's own) and name of an InferenceService.

    Raises:
        Rejected: the URL is not of the form kserve://NAME or kserve://NAMESPACE/NAME.
    """
    parts = url.removeprefix(SCHEME).rstrip("/").split("/")
    if not is_named(url) or not 1 <= len(parts) <= 2 or not all(parts):
        raise Rejected(
            f"model address {url!r}: give kserve://NAME or kserve://NAMESPACE/NAME of an "
            "InferenceService"
        )
    return (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0])


def read_status(found: Mapping[str, Any], replicas: int | None) -> InferenceService:
    """Return what an InferenceService says of itself.

    Args:
        found: the object, as the API server has it.
        replicas: ready pods of its predictor's Deployment.
    """
    namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
    status = found.get("status", {})
    told = status.get("components", {}).get("predictor", {}).get("address", {}).get("url", "")
    # In Standard mode KServe calls the Service so, and with a cluster IP it listens at port 80.
    url = told if urlsplit(told).netloc else f"http://{name}-predictor.{namespace}.svc"
    ready: Mapping[str, Any] = next(
        (c for c in status.get("conditions", ()) if c["type"] == "Ready"), {}
    )
    why = ": ".join(filter(None, (ready.get("reason"), ready.get("message"))))
    is_ready = ready.get("status") == "True"
    return InferenceService(
        namespace, name, url.rstrip("/"), is_ready, "" if is_ready else why, replicas
    )


async def find_inference_service(url: str) -> InferenceService:
    """Return the InferenceService that a URL names.

    Raises:
        NotFound: there is none of that name.
        Rejected: the URL is no name, the extra is not installed, or there is no access.
        Retryable: the API server does not answer.
    """
    namespace, name = split_name(url)
    return await asyncio.to_thread(_find, namespace, name)


async def resolved(url: str) -> str:
    """Return the base address of a model server: of a named InferenceService once it is ready.

    Other addresses are returned as they are.

    Raises:
        Retryable: it is not there or not ready yet, or the API server does not answer.
        Rejected: the URL is no name, the extra is not installed, or there is no access to it.
    """
    if not is_named(url):
        return url
    try:
        found = await find_inference_service(url)
    except NotFound as error:
        raise Retryable(str(error)) from error
    # One that is scaled to zero is woken by requests that it does not get while we wait.
    if not found.ready and found.replicas != 0:
        where = f"InferenceService {found.namespace}/{found.name}"
        raise Retryable(f"{where} is not ready: {found.reason or 'it has no status yet'}")
    return found.url


def _find(namespace: str, name: str) -> InferenceService:
    try:
        kubernetes: Any = importlib.import_module("kubernetes")
    except ModuleNotFoundError:
        raise Rejected(
            "models named kserve:// need the client of Kubernetes: pip install "
            "'matrix-society[kserve]'"
        ) from None
    client = kubernetes.client
    try:
        namespace, configuration = _access(kubernetes, namespace)
    except kubernetes.config.ConfigException as error:
        raise Rejected(
            f"no access to a cluster for InferenceService {name!r}: {error}: run in a pod with a "
            "service account's token, or set KUBECONFIG"
        ) from None
    where = f"InferenceService {namespace}/{name}"
    try:
        with client.ApiClient(configuration) as api:
            found = client.CustomObjectsApi(api).get_namespaced_custom_object(
                *(_GROUP, _VERSION, namespace, _PLURAL, name), _request_timeout=_SECONDS
            )
            return read_status(found, _replicas(client, api, namespace, name))
    except client.ApiException as error:
        if error.status == 404:
            raise NotFound(f"{where} is not there, or the cluster has no KServe") from None
        if error.status in (401, 403):
            raise Rejected(
                f"{where}: the API server answers {error.status} {error.reason}"
            ) from None
        raise Retryable(f"{where}: the API server answers {error.status} {error.reason}") from None
    except OSError as error:
        raise Retryable(f"{where}: {error}") from None
    except importlib.import_module("urllib3").exceptions.HTTPError as error:
        raise Retryable(f"{where}: the API server does not answer: {error}") from None


def _access(kubernetes: Any, namespace: str) -> tuple[str, Any]:
    """Return the namespace and how to reach the API server: from a pod, else by KUBECONFIG."""
    configuration = kubernetes.client.Configuration()
    configuration.retries = False
    if _OWN_NAMESPACE.is_file():
        kubernetes.config.load_incluster_config(client_configuration=configuration)
        return namespace or _OWN_NAMESPACE.read_text(encoding="utf-8").strip(), configuration
    kubernetes.config.load_kube_config(client_configuration=configuration)
    _, context = kubernetes.config.list_kube_config_contexts()
    return namespace or context["context"].get("namespace", "default"), configuration


def _replicas(client: Any, api: Any, namespace: str, name: str) -> int | None:
    """Return ready pods of the predictor; None where its Deployment is not there or not ours."""
    try:
        # As it is: the client's own classes refuse what a newer server adds.
        deployment = client.CustomObjectsApi(api).get_namespaced_custom_object(
            *("apps", "v1", namespace, "deployments", f"{name}-predictor"),
            _request_timeout=_SECONDS,
        )
    except client.ApiException as error:
        if error.status in (401, 403, 404):
            return None
        raise
    return int(deployment.get("status", {}).get("readyReplicas", 0))
