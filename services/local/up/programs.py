"""The command line and the environment of each process of the platform.

Secrets travel in the environment only: command lines can be read by everyone on the machine.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from services.local.licences import built_in_licences
from services.local.model import LocalModel
from services.local.model_server import EMBEDDING_MODEL
from services.local.servers.process import LOOPBACK, Probe, answers, inherited_environment
from services.local.up.children import Program, program
from services.local.up.credentials import PlatformCredentials
from services.local.up.settings import SERVICES, UpSettings
from services.reward_filtering.licences import read_licences
from services.runtime.endpoints import served_models
from services.runtime.errors import Rejected
from services.runtime.settings import (
    KafkaSettings,
    ModelSettings,
    ModelsSettings,
    ObjectStoreSettings,
)

MODEL = "model"
_SERVICE_GRACE_SECONDS = 10.0
"""For what a service has in flight; a cluster gives it more."""
_KILL_SECONDS = 5.0
"""On top of that, before a service that should have ended is killed."""
OWN_BROKER = {
    # Joining a group takes half the session time-out on our own broker.
    "MATRIX_KAFKA__SESSION_TIMEOUT_SECONDS": "6",
}
"""Settings for Tansu, where the user has none."""
BATCHES_AS_OBJECTS = {
    # The store's processor is the limit: with 60 instead of 5, 1.7 times as many calls.
    "MATRIX_KAFKA__LINGER_MS": "60",
    # Twice as many without: what a broker knows of an idempotent producer is an object, too,
    # written with each batch; and while its one request is under way, the next one grows.
    "MATRIX_KAFKA__IDEMPOTENCE": "false",
}
"""The same where it keeps messages in an object store."""
_PASSED_ON = ("XDG_CACHE_HOME", "SSL_CERT_", "OMP_", "GOMP_", "PYTHON")
_SETTINGS = "MATRIX_"
_SERVED = ("MATRIX_GRPC__", "MATRIX_METRICS__")
_LICENCES = "MATRIX_MODEL_LICENCES"


@dataclass(frozen=True, slots=True)
class ModelAddress:
    """Where models are called."""

    chat: ModelSettings
    embedding: ModelSettings | None
    """None where the user named a server for it."""


def matrix(*arguments: str | int | Path) -> list[str]:
    """Return a command line of `matrix` in this environment."""
    return [sys.executable, "-m", "services.cli", *map(str, arguments)]


def base_environment() -> dict[str, str]:
    """Return what each process of ours is given: no settings, and no secrets."""
    passed = {k: v for k, v in os.environ.items() if k.startswith(_PASSED_ON)}
    # What each process computes with NumPy is small: more threads only wait for each other.
    return inherited_environment() | {"OPENBLAS_NUM_THREADS": "1"} | passed


def model_program(settings: UpSettings, port: int, logs: Path, log: Path) -> Program:
    """Return the model server: chat and embeddings, or embeddings beside somebody's chat model."""
    if settings.model == "simulated":
        command = matrix("simulate-model", "--port", port, "--seed", settings.seed)
    else:
        part = ["--embeddings-only"] if settings.model_url else ["--log", logs / "llama.log"]
        command = matrix("serve-model", "--port", port, *part)
    return program(MODEL, command, log, base_environment(), answers(port))


async def chat_model(settings: UpSettings, base: ModelSettings) -> str:
    """Return the name of the chat model.

    Raises:
        Rejected: the server of `--model URL` does not answer, or serves no model of that name.
    """
    if settings.model == "simulated":
        return "simulated"
    if settings.model == "local":
        return LocalModel.name
    url = settings.model_url
    names = await served_models(url, base.api_key.get_secret_value())
    name = settings.model_name or (names[0] if names else "")
    if name not in names:
        raise Rejected(f"{url} serves {', '.join(names) or 'no model'}, not {name!r}")
    return name


def model_address(settings: UpSettings, port: int, base: ModelsSettings, name: str) -> ModelAddress:
    """Return how to reach the models.

    Args:
        settings: what was asked for.
        port: of our own model server.
        base: the user's settings; the key of the role `simulator` is for `--model URL`.
        name: of the chat model.
    """
    own = f"http://{LOOPBACK}:{port}"
    if settings.model == "simulated":
        simulated = ModelSettings(url=own, name=name)
        return ModelAddress(simulated, None if base.embedding.url else simulated)
    key = base.simulator.api_key if settings.model_url else SecretStr("")
    chat = ModelSettings(url=settings.model_url or own, name=name, api_key=key)
    embedding = ModelSettings(url=own, name=EMBEDDING_MODEL)
    return ModelAddress(chat, None if base.embedding.url else embedding)


def service_environment(
    settings: UpSettings,
    credentials: PlatformCredentials,
    kafka: KafkaSettings,
    store: ObjectStoreSettings,
    models: ModelAddress,
) -> dict[str, str]:
    """Return what all replicas of all services share: the user's settings, and what is fixed here.

    Each MATRIX_* variable of the user is passed on, but for addresses and secrets of our own.

    Raises:
        Rejected: the user's licences of models cannot be read.
    """
    fixed = {
        "MATRIX_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "MATRIX_KAFKA__PARTITIONS": str(kafka.partitions),
        "MATRIX_OBJECT_STORE__URL": store.url,
        "MATRIX_OBJECT_STORE__ENDPOINT": store.endpoint,
        "MATRIX_OBJECT_STORE__REGION": store.region,
        "MATRIX_OBJECT_STORE__ACCESS_KEY": store.access_key.get_secret_value(),
        "MATRIX_OBJECT_STORE__SECRET_KEY": store.secret_key.get_secret_value(),
        "MATRIX_GRPC__HOST": LOOPBACK,
        "MATRIX_METRICS__HOST": LOOPBACK,
        "MATRIX_GRPC__CALLERS_FILE": str(credentials.callers_file),
        "MATRIX_GRPC__TOKEN": credentials.replicas.get_secret_value(),
        "MATRIX_MODELS__SIMULATOR__URL": models.chat.url,
        "MATRIX_MODELS__SIMULATOR__NAME": models.chat.name,
        "MATRIX_MODELS__SIMULATOR__API_KEY": models.chat.api_key.get_secret_value(),
        _LICENCES: json.dumps(
            built_in_licences() | read_licences(os.environ.get(_LICENCES, ""), _LICENCES)
        ),
    }
    if models.embedding is not None:
        fixed["MATRIX_MODELS__EMBEDDING__URL"] = models.embedding.url
        fixed["MATRIX_MODELS__EMBEDDING__NAME"] = models.embedding.name
    defaults = {
        "MATRIX_GRPC__GRACE_SECONDS": str(_SERVICE_GRACE_SECONDS),
        "MATRIX_LOG_FORMAT": "console",
        # So small a society is soon at rest.
        "MATRIX_REUSE_AFTER_SECONDS": "5",
    }
    if not settings.kafka:
        defaults |= OWN_BROKER | BATCHES_AS_OBJECTS
    # Everything is on loopback, and the certificates of a cluster are not for that.
    chosen = {
        k: v
        for k, v in os.environ.items()
        if k.startswith(_SETTINGS) and not (k.startswith(_SERVED) and k.endswith("_FILE"))
    }
    return base_environment() | defaults | chosen | fixed


def service_program(
    service: str,
    replica: int,
    addresses: list[str],
    shared: Mapping[str, str],
    ready: Probe,
    log: Path,
    metrics_port: int = 0,
) -> Program:
    """Return one replica of a service.

    Args:
        service: its name.
        replica: from 0.
        addresses: `host:port` of all its replicas.
        shared: as `service_environment` gives it.
        ready: says whether it takes calls.
        log: takes what it prints.
        metrics_port: where it tells its metrics; 0: at any free port.
    """
    if service not in SERVICES:
        raise ValueError(f"{service!r} is no service")
    name = f"{service}-{replica}"
    own = {
        "MATRIX_GRPC__PORT": addresses[replica].rpartition(":")[2],
        "MATRIX_METRICS__PORT": str(metrics_port),
        # No instance id: two static members that were killed leave Tansu's group without a leader.
        "MATRIX_GRPC__PEERS": ",".join(addresses),
    }
    grace = float(shared.get("MATRIX_GRPC__GRACE_SECONDS", _SERVICE_GRACE_SECONDS))
    command = matrix("serve", service)
    return program(name, command, log, {**shared, **own}, ready, grace + _KILL_SECONDS)
