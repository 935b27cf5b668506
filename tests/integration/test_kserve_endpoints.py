"""Models named as InferenceServices, read from an API server by the client of Kubernetes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.models import models
from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.kserve_endpoints import find_inference_service, resolved
from tests.integration.kubernetes_double import KubernetesDouble, Resource, kubeconfig, kubernetes

SERVICES = Resource("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService", True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", True)


@asynccontextmanager
async def kserve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesDouble]:
    async with kubernetes(SERVICES, DEPLOYMENTS) as api:
        (folder / "kubeconfig").write_text(kubeconfig(api.url, "models"))
        monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        # The client reads it once, when it is imported.
        monkeypatch.setattr(
            "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "kubeconfig")
        )
        yield api


def serve(api: KubernetesDouble, name: str, ready: str, replicas: int) -> None:
    condition = {"type": "Ready", "status": ready, "reason": "Loading", "message": "weights"}
    api.create(SERVICES, {"metadata": {"name": name}, "spec": {}}, "models")
    set_status(api, SERVICES, name, {"conditions": [condition]})
    api.create(DEPLOYMENTS, {"metadata": {"name": f"{name}-predictor"}, "spec": {}}, "models")
    set_status(api, DEPLOYMENTS, f"{name}-predictor", {"readyReplicas": replicas})


def set_status(api: KubernetesDouble, kind: Resource, name: str, status: dict[str, Any]) -> None:
    api.change(kind, "models", name, lambda old: {**old, "status": status}, "status")


async def test_a_name_is_resolved_once_its_service_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kserve(tmp_path, monkeypatch) as api:
        with pytest.raises(Retryable, match="is not there"):
            await resolved("kserve://teacher")
        serve(api, "teacher", "False", 1)
        with pytest.raises(Retryable, match="models/teacher is not ready: Loading: weights"):
            await resolved("kserve://teacher")
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        set_status(api, SERVICES, "teacher", ready)
        assert await resolved("kserve://teacher") == "http://teacher-predictor.models.svc"
        found = await find_inference_service("kserve://models/teacher")
        assert (found.ready, found.replicas) == (True, 1)
    assert await resolved("http://teacher:8000") == "http://teacher:8000"


async def test_what_the_api_server_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kserve(tmp_path, monkeypatch) as api:
        api.fail("get", "inferenceservices", 503, "ServiceUnavailable")
        with pytest.raises(Retryable, match="answers 503"):
            await find_inference_service("kserve://teacher")
        with pytest.raises(NotFound, match="models/teacher is not there"):
            await find_inference_service("kserve://teacher")
        api.rules = []
        with pytest.raises(Rejected, match="answers 403"):
            await find_inference_service("kserve://teacher")
    with pytest.raises(Retryable, match="models/teacher"):
        await find_inference_service("kserve://teacher")


async def test_the_command_shows_readiness_address_and_replicas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"MATRIX_MODELS__SIMULATOR__URL": "kserve://teacher"}

    def run() -> Any:
        return CliRunner().invoke(models, ["status", "--json"], env=environment)

    async with kserve(tmp_path, monkeypatch) as api:
        serve(api, "teacher", "False", 0)
        waiting = await asyncio.to_thread(run)
        set_status(api, SERVICES, "teacher", {"conditions": [{"type": "Ready", "status": "True"}]})
        ready = await asyncio.to_thread(run)
    row = json.loads(waiting.stdout.splitlines()[0])
    assert waiting.exit_code == 1
    assert (row["ready"], row["replicas"], row["reason"]) == (False, 0, "Loading: weights")
    assert ready.exit_code == 0, ready.output
    assert all(json.loads(line)["ready"] for line in ready.stdout.splitlines())
