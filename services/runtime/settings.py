"""Settings that every service reads: from the environment, once, at start.

`MATRIX_KAFKA__BOOTSTRAP_SERVERS=broker:9092` sets `kafka.bootstrap_servers`; ops/services.md lists
them all. Secrets are read from the environment, and are never printed.
"""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from services.runtime.errors import Rejected
from services.runtime.ports import Role

S = TypeVar("S", bound=BaseSettings)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class KafkaSettings(_Part):
    """The broker, and how this process is a member of its groups."""

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ca_file: Path | None = None
    """Certificate authorities that the broker's certificate is checked against."""
    cert_file: Path | None = None
    key_file: Path | None = None
    partitions: int = Field(default=64, ge=1, le=10_000)
    """Of every topic; never changed afterwards, because a key's partition follows from it."""
    replication_factor: int = Field(default=1, ge=1, le=32_767)
    session_timeout_seconds: float = Field(default=30.0, ge=1)
    """Without a sign of life for so long, a member's partitions go to others (Kafka: >= 6 s)."""
    instance_id: str = ""
    """A stable name of this replica: it takes its partitions up again after a quick restart."""
    max_message_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """Larger messages are refused by the sender."""
    linger_ms: int = Field(default=5, ge=0, le=10_000)
    """How long a record waits for others of its partition, to be sent and stored with them."""
    idempotence: bool = True
    """Of the producer; off for brokers without it, at the price of one request at a time."""


class GrpcSettings(_Part):
    """The server of a service, and how it finds the other replicas."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """0 takes any free port."""
    peers: str = ""
    """`host:port,host:port` of the replicas, or one DNS name with port that resolves to all."""
    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    """Authorities of servers' certificates, for calls to other replicas."""
    client_ca_file: Path | None = None
    """Authorities of callers' certificates: with it, callers must show one (mutual TLS)."""
    callers_file: Path | None = None
    """Who may call what; without it, everyone who reaches the server may do everything."""
    token: SecretStr = SecretStr("")
    """The bearer token that this process shows to other replicas."""
    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    grace_seconds: float = Field(default=25.0, ge=0)
    """After SIGTERM: time to finish what is in flight."""
    default_deadline_seconds: float = Field(default=60.0, gt=0)
    """Of unary calls whose caller set none."""


class MetricsSettings(_Part):
    """Where this process tells its metrics, over HTTP."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """0 takes any free port."""
    cert_file: Path | None = None
    """With it and its key, over TLS."""
    key_file: Path | None = None


class ObjectStoreSettings(_Part):
    """Where datasets are kept."""

    url: str = ""
    """`s3://bucket` or `s3://bucket/prefix`, or a local directory."""
    endpoint: str = ""
    """Address of an S3 server other than AWS."""
    region: str = "us-east-1"
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    ca_file: Path | None = None


class ModelSettings(_Part):
    """One role's model server."""

    url: str = ""
    """Base address without /v1; empty: as for the role `simulator`."""
    name: str = ""
    """Model asked for; empty: the server's first one."""
    api_key: SecretStr = SecretStr("")
    prompt_price: float = Field(default=0.0, ge=0)
    """Of a million tokens of prompts, in any currency; only for what is told of costs."""
    completion_price: float = Field(default=0.0, ge=0)
    """Of a million tokens generated."""


class ModelsSettings(_Part):
    """The models by role, and how they are called."""

    simulator: ModelSettings = ModelSettings()
    teacher: ModelSettings = ModelSettings()
    student: ModelSettings = ModelSettings()
    reward: ModelSettings = ModelSettings()
    """A reward model with a score head (/classify), or any other as a judge."""
    held_out: ModelSettings = ModelSettings()
    """A second one, whose rewards are reported and never decide; without a URL there is none."""
    embedding: ModelSettings = ModelSettings()
    slots: int | None = Field(default=None, ge=1)
    """Most calls of this process at once, to each server; None: as many as keep it busy."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    patience_seconds: float = Field(default=120.0, gt=0)
    """How long a call is retried, from its first failure, before it counts as failed."""

    def of(self, role: Role) -> ModelSettings:
        """Return the settings of a role; one without a URL is as `simulator`."""
        own: ModelSettings = getattr(self, role)
        return own if own.url else self.simulator


class TracingSettings(_Part):
    """Which traces are sent, and where to."""

    endpoint: str = Field(default="", pattern=r"^(https?://[^\s/@]+/?)?$")
    """OTLP over gRPC: `http://host:4317`, or `https://` for TLS; empty: nothing is traced."""
    sample_ratio: float = Field(default=0.01, ge=0, le=1)
    """Of the traces that begin here: steps of groups, and RPCs of callers that trace nothing."""
    prompts: bool = False
    """Whether spans of model calls hold prompts and answers."""
    ca_file: Path | None = None
    """Authorities of the collector's certificate; by default those that everybody knows."""


class ControllerSettings(_Part):
    """The controller of `Dataset` objects; read by `services.controller` alone."""

    namespace: str = ""
    """Of the objects."""
    server: str = ""
    """Address of instruction_generation, `host:port` or `dns:///host:port`."""
    interval_seconds: float = Field(default=15.0, gt=0)
    """How often an accepted order is asked for."""
    health_host: str = "127.0.0.1"
    health_port: int = Field(default=8080, ge=1, le=65535)
    """`GET /healthz` answers there while the controller lives."""


class Settings(BaseSettings):
    """All settings of a service process."""

    model_config = SettingsConfigDict(
        env_prefix="MATRIX_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    grpc: GrpcSettings = GrpcSettings()
    metrics: MetricsSettings = MetricsSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    models: ModelsSettings = ModelsSettings()
    tracing: TracingSettings = TracingSettings()
    controller: ControllerSettings = ControllerSettings()
    log_format: Literal["json", "console"] = "json"
    communication: Literal["structured", "random", "none"] = "structured"
    reuse_after_seconds: float = Field(default=30.0, ge=0)
    """A stratum that waited so long for fresh scenarios uses those that it has once more."""
    benchmarks: str = ""
    """Files of benchmark items, separated by commas, that no instruction may repeat."""
    model_licences: str = ""
    """`model=licence,...` or a JSON object: licences of models, for the cards of exports."""
    population_control: bool = True
    """As many agents are active as keep the model server saturated; off: as many as may be."""
    max_pending: int = Field(default=256, ge=1)
    """Messages taken from the broker and not yet done."""


class _TracingOnly(BaseSettings):
    model_config = Settings.model_config

    tracing: TracingSettings = TracingSettings()


def read_settings() -> Settings:
    """Read the environment.

    Raises:
        Rejected: a variable cannot be used; the message names it, and never shows a secret.
    """
    return _read(Settings)


def read_tracing() -> TracingSettings:
    """Read what of it is about tracing, for commands that need no other.

    Raises:
        Rejected: as `read_settings`.
    """
    return _read(_TracingOnly).tracing


def _read(kind: type[S]) -> S:
    try:
        return kind()
    except ValidationError as error:
        problems = "; ".join(
            f"MATRIX_{'__'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_context=False)
        )
        raise Rejected(f"settings: {problems}") from None
    except SettingsError as error:
        raise Rejected(
            f"settings: {error}: give it as JSON, or set its parts one by one, such as "
            "MATRIX_KAFKA__BOOTSTRAP_SERVERS"
        ) from None
