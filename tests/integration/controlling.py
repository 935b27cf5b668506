"""The controller on a double of the API server, and on real orders of a platform."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.integration.kubernetes_double import (
    KubernetesDouble,
    Object,
    Resource,
    kubeconfig,
    kubernetes,
)
from tests.integration.kubernetes_schemas import crd_schema

ROOT = Path(__file__).parents[2]
CRD = ROOT / "helm" / "matrix" / "crds" / "datasets.matrix.dev.yaml"
DATASETS = Resource("matrix.dev", "v1alpha1", "datasets", "Dataset", True, crd_schema(CRD))
EVENTS = Resource("", "v1", "events", "Event")
NAMESPACE = "matrix"


@dataclass
class Cluster:
    """A namespace with a controller that can be started and killed."""

    api: KubernetesDouble
    folder: Path

    def create(self, name: str, **spec: Any) -> Object:
        """Apply a Dataset."""
        manifest = {"metadata": {"name": name}, "spec": {"kind": "sft", **spec}}
        return self.api.create(DATASETS, manifest, NAMESPACE)

    def change(self, name: str, **spec: Any) -> Object:
        """Change the spec of a Dataset."""
        return self.api.apply(DATASETS, NAMESPACE, name, {"spec": spec})

    def annotate(self, name: str, value: str) -> Object:
        """Touch a Dataset without a change of its spec."""
        patch = {"metadata": {"annotations": {"example.org/note": value}}}
        return self.api.apply(DATASETS, NAMESPACE, name, patch)

    def delete(self, name: str) -> None:
        """Delete a Dataset, in the background."""
        self.api.delete(DATASETS, NAMESPACE, name)

    def find(self, name: str) -> Object | None:
        """Return a Dataset."""
        return self.api.find(DATASETS, NAMESPACE, name)

    def status(self, name: str) -> Object:
        """Return the status of a Dataset; empty before it has one."""
        return (self.find(name) or {}).get("status", {})  # type: ignore[no-any-return]

    def condition(self, name: str, kind: str) -> Object:
        """Return a condition of a Dataset; empty before it was decided."""
        known = self.status(name).get("conditions", ())
        return next((each for each in known if each["type"] == kind), {})

    async def until(self, name: str, kind: str, status: str, reason: str = "") -> Object:
        """Wait for a condition, and return it."""

        def there() -> bool:
            found = self.condition(name, kind)
            return found.get("status") == status and reason in ("", found["reason"])

        await self.api.until(there)
        return self.condition(name, kind)

    async def until_gone(self, name: str) -> None:
        """Wait for a Dataset to be removed."""
        await self.api.until(lambda: self.find(name) is None)

    def reasons(self) -> list[str]:
        """Return the reasons of all events, in the order in which they came."""
        events = self.api.all(EVENTS, NAMESPACE)
        events.sort(key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [each["reason"] for each in events]

    @asynccontextmanager
    async def controller(self, server: str, interval: float = 0.05) -> AsyncIterator[Process]:
        """Run the controller as a process of its own; it may be killed before the end."""
        config = self.folder / "kubeconfig"
        async with controller_process(self.folder, config, NAMESPACE, server, interval) as process:
            yield process


@asynccontextmanager
async def controller_process(
    folder: Path, config: Path, namespace: str, server: str, interval: float = 0.05
) -> AsyncIterator[Process]:
    """Run the controller as a process of its own; it may be killed before the end."""
    variables = {
        "KUBECONFIG": str(config),
        "MATRIX_CONTROLLER__NAMESPACE": namespace,
        "MATRIX_CONTROLLER__SERVER": server,
        "MATRIX_CONTROLLER__INTERVAL_SECONDS": str(interval),
        "MATRIX_CONTROLLER__HEALTH_PORT": str(free_port()),
        "MATRIX_OBJECT_STORE__URL": "s3://bucket/prefix",
        "MATRIX_LOG_FORMAT": "console",
    }
    inherited = {key: value for key, value in os.environ.items() if "MATRIX" not in key}
    log = folder / "controller.log"
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.controller"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd=ROOT,
            env={**inherited, **variables},
        )
    try:
        yield process
    except BaseException:
        sys.stderr.write(log.read_text(encoding="utf-8"))
        raise
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Give a namespace without a controller."""
    async with kubernetes(DATASETS) as api:
        (folder / "kubeconfig").write_text(kubeconfig(api.url, NAMESPACE))
        yield Cluster(api, folder)


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def role_rules() -> list[dict[str, list[str]]]:
    """Return the rules of the controller's Role in the chart, in which nothing is a template."""
    text = (ROOT / "helm" / "matrix" / "templates" / "controller.yaml").read_text(encoding="utf-8")
    (role,) = (each for each in text.split("\n---\n") if "\nkind: Role\n" in each)
    rules: list[dict[str, list[str]]] = yaml.safe_load(role[role.index("\nrules:") :])["rules"]
    return rules
