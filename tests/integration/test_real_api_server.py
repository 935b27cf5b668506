"""The CRD and the controller on a real API server: of KUBECONFIG, else of kube-apiserver and etcd.

Only such a one evaluates CEL rules. Binaries are looked for in KUBEBUILDER_ASSETS (as
`setup-envtest` leaves them) and on PATH; without either the test is skipped, and says so. It makes
and removes a namespace of its own, and installs the CRD where it is not there yet.
"""

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import urllib3
import yaml

from tests.integration.cli_rpc import platform
from tests.integration.controlling import CRD, controller_process, free_port
from tests.integration.kubernetes_double import kubeconfig

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin")
BINARIES = {
    name: shutil.which(name, path=f"{ASSETS}:{os.environ.get('PATH', '')}")
    for name in ("etcd", "kube-apiserver")
}
KUBECONFIG = os.environ.get("KUBECONFIG", "")
pytestmark = pytest.mark.skipif(
    not KUBECONFIG and not all(BINARIES.values()),
    reason="no KUBECONFIG, and no kube-apiserver and etcd in KUBEBUILDER_ASSETS or on PATH: the "
    "controller was tried on the double only, and CEL rules were not evaluated",
)


@contextmanager
def api_server(folder: Path) -> Iterator[Path]:
    """Give a kubeconfig of a real API server."""
    if KUBECONFIG:
        yield Path(KUBECONFIG)
        return
    peer, client, port = free_port(), free_port(), free_port()
    key = folder / "account.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text('of-no-worth,tester,1,"system:masters"\n')
    etcd = [
        *(BINARIES["etcd"] or "", f"--data-dir={folder / 'etcd'}"),
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
    ]
    server = [
        *(BINARIES["kube-apiserver"] or "", f"--etcd-servers=http://127.0.0.1:{client}"),
        *(f"--secure-port={port}", "--bind-address=127.0.0.1", f"--cert-dir={folder / 'certs'}"),
        *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
        *("--service-account-issuer=https://test", "--authorization-mode=RBAC"),
        *(f"--token-auth-file={folder / 'tokens.csv'}", "--service-cluster-ip-range=10.0.0.0/24"),
        "--disable-admission-plugins=ServiceAccount",
    ]
    config = yaml.safe_load(kubeconfig(f"https://127.0.0.1:{port}", "default"))
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    with (folder / "server.log").open("wb") as log:
        running = [subprocess.Popen(each, stdout=log, stderr=log) for each in (etcd, server)]
        try:
            yield folder / "kubeconfig"
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(30)


@asynccontextmanager
async def namespace(config: Path) -> AsyncIterator[tuple[Any, str]]:
    """Give the API of custom objects, and a namespace of its own with the CRD installed."""
    kubernetes.config.load_kube_config(str(config))  # type: ignore[no-untyped-call]
    core, name = kubernetes.client.CoreV1Api(), f"matrix-test-{uuid.uuid4().hex[:8]}"
    await eventually(lambda: core.list_namespace(), lambda found: found is not None)
    metadata = kubernetes.client.V1ObjectMeta(name=name)
    core.create_namespace(kubernetes.client.V1Namespace(metadata=metadata))
    api = kubernetes.client.CustomObjectsApi()
    definitions = ("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    try:
        api.create_cluster_custom_object(*definitions, yaml.safe_load(CRD.read_text()))
    except kubernetes.client.ApiException as error:
        if error.status != 409:
            raise
    where = ("matrix.dev", "v1alpha1", name, "datasets")
    try:
        await eventually(
            lambda: api.list_namespaced_custom_object(*where), lambda found: "items" in found
        )
        yield api, name
    finally:
        core.delete_namespace(name)


async def eventually(ask: Any, enough: Any, seconds: float = 60.0) -> Any:
    """Ask until the answer is enough; refusals count as not yet."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if enough(found := await asyncio.to_thread(ask)):
                    return found
            except (kubernetes.client.ApiException, OSError, urllib3.exceptions.HTTPError):
                pass
            await asyncio.sleep(0.2)  # Nothing tells when.


def dataset(name: str = "d", **spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "matrix.dev/v1alpha1", "kind": "Dataset"}
    return {**kind, "metadata": {"name": name}, "spec": {"kind": "sft", **spec}}


def is_accepted(found: Any) -> bool:
    conditions = found.get("status", {}).get("conditions", ())
    return any(each["type"] == "Accepted" and each["status"] == "True" for each in conditions)


async def test_an_object_is_ordered_kept_as_it_was_accepted_and_released(tmp_path: Path) -> None:
    with api_server(tmp_path) as config:
        async with namespace(config) as (api, name), platform(tmp_path) as there:
            where = ("matrix.dev", "v1alpha1", name, "datasets")
            refused: list[dict[str, Any]] = [
                {},
                {"size": 1, "continuous": True},
                {"size": 1, "weight": 0},
            ]
            for bad in refused:
                with pytest.raises(kubernetes.client.ApiException, match="422"):
                    api.create_namespaced_custom_object(*where, dataset(**bad))
            api.create_namespaced_custom_object(*where, dataset(size=3, deletionPolicy="Cancel"))
            async with controller_process(tmp_path, config, name, there.address):
                await eventually(lambda: api.get_namespaced_custom_object(*where, "d"), is_accepted)
                with pytest.raises(kubernetes.client.ApiException, match="cannot be changed"):
                    api.patch_namespaced_custom_object(*where, "d", {"spec": {"size": 4}})
                api.patch_namespaced_custom_object(*where, "d", {"spec": {"paused": True}})
                await eventually(
                    lambda: api.get_namespaced_custom_object(*where, "d"),
                    lambda found: found["status"]["phase"] == "Paused",
                )
                api.delete_namespaced_custom_object(*where, "d")
                await eventually(
                    lambda: api.list_namespaced_custom_object(*where),
                    lambda found: not found["items"],
                )
            assert there.orders.planner.datasets["d"].deleted
