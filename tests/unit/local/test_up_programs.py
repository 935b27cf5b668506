"""What each process of the platform is given: settings by environment, secrets nowhere else."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.local.licences import built_in_licences
from services.local.servers.seaweedfs import Credentials
from services.local.up.credentials import PlatformCredentials
from services.local.up.programs import (
    matrix,
    model_address,
    service_environment,
    service_program,
)
from services.local.up.settings import UpSettings
from services.reward_filtering.licences import read_licences
from services.runtime.errors import Rejected
from services.runtime.settings import (
    KafkaSettings,
    ModelSettings,
    ModelsSettings,
    ObjectStoreSettings,
    Settings,
)

SECRETS = {"planted-s3-secret", "planted-s3-key", "planted-token", "planted-api-key"}
STORE = ObjectStoreSettings(
    url="s3://matrix",
    endpoint="http://127.0.0.1:9000",
    access_key=SecretStr("planted-s3-key"),
    secret_key=SecretStr("planted-s3-secret"),
)
KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:9092", partitions=8)
BASE = ModelsSettings(simulator=ModelSettings(api_key=SecretStr("planted-api-key")))
CREDENTIALS = PlatformCredentials(
    Credentials("planted-s3-key", "planted-s3-secret"),
    SecretStr("planted-token"),
    Path("/up/credentials/callers.toml"),
    Path("/up/credentials/operator-token"),
)


def shared(settings: UpSettings, base: ModelsSettings = BASE) -> dict[str, str]:
    models = model_address(settings, 7000, base, "the-model")
    return service_environment(settings, CREDENTIALS, KAFKA, STORE, models)


def read(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


async def ready() -> bool:
    return True


def test_a_service_reads_from_its_environment_what_the_platform_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read(shared(UpSettings(model="http://gpu:8000")), monkeypatch)
    by_default = {"session_timeout_seconds": 30.0, "linger_ms": 5, "idempotence": True}
    assert settings.kafka.model_copy(update=by_default) == KAFKA
    assert settings.object_store == STORE
    assert settings.grpc.token.get_secret_value() == "planted-token"
    assert settings.grpc.callers_file == CREDENTIALS.callers_file
    assert settings.models.of("teacher").url == "http://gpu:8000"
    assert settings.models.of("teacher").api_key.get_secret_value() == "planted-api-key"
    assert settings.models.embedding.url == "http://127.0.0.1:7000"
    assert settings.models.embedding.name == "all-MiniLM-L6-v2"


def test_licences_of_models_are_the_users_and_the_built_in_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MATRIX_MODEL_LICENCES", raising=False)
    settings = read(shared(UpSettings(model="simulated")), monkeypatch)
    assert read_licences(settings.model_licences, "x") == built_in_licences()
    monkeypatch.setenv("MATRIX_MODEL_LICENCES", "a,b")
    with pytest.raises(Rejected, match="MATRIX_MODEL_LICENCES: 'a' names no licence"):
        shared(UpSettings(model="simulated"))
    monkeypatch.setenv("MATRIX_MODEL_LICENCES", "the-model=MIT")
    settings = read(shared(UpSettings(model="simulated")), monkeypatch)
    known = read_licences(settings.model_licences, "x")
    assert known == built_in_licences() | {"the-model": "MIT"}


def test_a_users_setting_counts_unless_the_platform_decides_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MATRIX_MAX_PENDING", "17")
    monkeypatch.setenv("MATRIX_KAFKA__SESSION_TIMEOUT_SECONDS", "45")
    monkeypatch.setenv("MATRIX_KAFKA__BOOTSTRAP_SERVERS", "elsewhere:9092")
    monkeypatch.setenv("MATRIX_GRPC__CERT_FILE", "/etc/cluster.pem")
    monkeypatch.setenv("MATRIX_METRICS__CERT_FILE", "/etc/cluster.pem")
    environment = shared(UpSettings(model="simulated"))
    assert environment["MATRIX_MAX_PENDING"] == "17"
    assert environment["MATRIX_KAFKA__SESSION_TIMEOUT_SECONDS"] == "45"
    assert environment["MATRIX_KAFKA__BOOTSTRAP_SERVERS"] == "127.0.0.1:9092"
    assert "MATRIX_GRPC__CERT_FILE" not in environment
    assert "MATRIX_METRICS__CERT_FILE" not in environment


@pytest.mark.parametrize("name", ["SESSION_TIMEOUT_SECONDS", "LINGER_MS", "IDEMPOTENCE"])
def test_sessions_are_short_and_batches_long_on_our_own_broker_only(name: str) -> None:
    assert f"MATRIX_KAFKA__{name}" in shared(UpSettings())
    assert f"MATRIX_KAFKA__{name}" not in shared(UpSettings(kafka="broker:9092"))


def test_a_key_for_somebodys_model_is_not_shown_to_ours() -> None:
    assert "planted-api-key" in shared(UpSettings(model="http://gpu:8000")).values()
    assert "planted-api-key" not in shared(UpSettings(model="local")).values()


def test_an_embedding_server_of_the_users_is_left_in_its_place() -> None:
    base = ModelsSettings(embedding=ModelSettings(url="http://embeddings:80"))
    for model in ("local", "simulated", "http://gpu:8000"):
        assert "MATRIX_MODELS__EMBEDDING__URL" not in shared(UpSettings(model=model), base)


def test_a_replica_has_its_port_and_its_peers_and_is_no_static_member(tmp_path: Path) -> None:
    addresses = ["127.0.0.1:7001", "127.0.0.1:7002"]
    made = service_program(
        "agent_state", 1, addresses, shared(UpSettings()), ready, tmp_path / "log", 9464
    )
    environment = made.process._environment
    assert made.name == "agent_state-1"
    assert environment is not None
    assert environment["MATRIX_GRPC__PORT"] == "7002"
    assert environment["MATRIX_METRICS__PORT"] == "9464"
    assert environment["MATRIX_METRICS__HOST"] == "127.0.0.1"
    assert environment["MATRIX_GRPC__PEERS"] == "127.0.0.1:7001,127.0.0.1:7002"
    assert "MATRIX_KAFKA__INSTANCE_ID" not in environment


def test_no_secret_stands_on_a_command_line(tmp_path: Path) -> None:
    environment = shared(UpSettings(model="http://gpu:8000"))
    made = service_program("agent_state", 0, ["127.0.0.1:1"], environment, ready, tmp_path / "log")
    assert set(environment.values()) >= SECRETS
    assert made.process._command == matrix("serve", "agent_state")
    assert not any(secret in part for secret in SECRETS for part in made.process._command)


def test_a_grace_of_the_users_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATRIX_GRPC__GRACE_SECONDS", "40")
    environment = shared(UpSettings())
    made = service_program("agent_state", 0, ["127.0.0.1:1"], environment, ready, tmp_path / "log")
    assert made.grace_seconds == 45
