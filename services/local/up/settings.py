"""What a user can ask of `matrix up`."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from services.runtime.errors import Rejected
from services.runtime.settings import ObjectStoreSettings

SERVICES = (
    "agent_state",
    "message_modulation",
    "scenario_extraction",
    "instruction_generation",
    "reward_filtering",
)
DEFAULT_DIRECTORY = Path("data/up")
BUCKET = "matrix"
"""Where datasets are, unless an address names another bucket."""
LOG_BUCKET = "matrix-log"
"""Where our own broker keeps its messages."""


@dataclass(frozen=True, slots=True)
class UpSettings:
    """A platform on this machine."""

    directory: Path = DEFAULT_DIRECTORY
    replicas: int = 1
    """Of each service."""
    model: str = "local"
    """`local`, `simulated`, or the base address of an OpenAI-compatible server."""
    model_name: str = ""
    """Asked of that server; its first one when empty."""
    kafka: str = ""
    """Address of an existing broker; empty starts one."""
    s3: str = ""
    """Address of an existing object store; empty starts one."""
    partitions: int = 8
    profiles: Path | None = None
    agents: int = 25
    seed: int = 0
    ports: int = 0
    """First of the ports that are listened on, one after the other; 0: any free.

    In order: the services, the model, the services' metrics, Prometheus.
    """
    prometheus: bool = True
    """Start one, if it is installed."""
    rules: Path | None = None
    """Its rules; None: those of a checkout."""
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.model not in ("local", "simulated") and not _is_url(self.model):
            raise Rejected(
                f"--model {self.model!r} is neither 'local', 'simulated' nor an address like "
                "http://127.0.0.1:8000"
            )
        if self.kafka and not all(_is_host_port(part) for part in self.kafka.split(",")):
            raise Rejected(f"--kafka {self.kafka!r} is no address like broker:9092")
        if self.s3 and not _is_url(self.s3):
            raise Rejected(f"--s3 {self.s3!r} is no address like http://127.0.0.1:9000/bucket")
        if self.rules is not None and not self.rules.is_file():
            raise Rejected(f"--rules {str(self.rules)!r}: there is no such file")
        last = self.ports + self.port_count - 1
        if self.ports and not 1024 <= self.ports <= last <= 65535:
            raise Rejected(
                f"--ports {self.ports}: {self.port_count} ports are needed from there, "
                "between 1024 and 65535"
            )

    @property
    def port_count(self) -> int:
        """How many are needed: two for each replica, one for the model, one for Prometheus."""
        return 2 * len(SERVICES) * self.replicas + 2

    @property
    def model_url(self) -> str:
        """Base address of an existing model server, without /v1; empty when we start one."""
        if self.model in ("local", "simulated"):
            return ""
        return self.model.rstrip("/").removesuffix("/v1")

    def existing_store(self, base: ObjectStoreSettings) -> ObjectStoreSettings:
        """Return how to reach the object store of `--s3`; keys and region are those of `base`.

        Raises:
            Rejected: the environment holds no keys.
        """
        if not base.access_key.get_secret_value() or not base.secret_key.get_secret_value():
            raise Rejected(
                "--s3 needs the keys of that store: set MATRIX_OBJECT_STORE__ACCESS_KEY and "
                "MATRIX_OBJECT_STORE__SECRET_KEY"
            )
        parts = urlsplit(self.s3)
        bucket = parts.path.strip("/") or BUCKET
        endpoint = f"{parts.scheme}://{parts.netloc}"
        return base.model_copy(update={"url": f"s3://{bucket}", "endpoint": endpoint})


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    # Passwords have no place in an address: it is shown.
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _is_host_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) <= 65535
