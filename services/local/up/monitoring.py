"""The Prometheus of a platform: whatever becomes of it, the platform goes on."""

from collections.abc import Callable, Mapping, Sequence

from services.local.servers.prometheus import (
    HOW_TO_GET_IT,
    RULES,
    Prometheus,
    Target,
    model_target,
    prometheus_program,
    replica_target,
    retention,
)
from services.local.up.children import Program
from services.local.up.directory import UpDirectory
from services.local.up.programs import ModelAddress
from services.local.up.settings import UpSettings
from services.local.up.supervisor import Supervisor
from services.runtime.errors import Rejected
from services.runtime.model_servers import ROLES
from services.runtime.settings import ModelsSettings

PROMETHEUS = "prometheus"


def model_targets(settings: UpSettings, base: ModelsSettings, models: ModelAddress) -> list[Target]:
    """Return the model servers that tell vLLM's metrics, each once: all but our small local one."""
    urls: dict[str, str] = {}
    if settings.model != "local":
        urls[models.chat.url] = "simulator"
    for role in (*ROLES, "held_out"):
        url = getattr(base, role).url
        if role != "simulator" and url.startswith(("http://", "https://")):
            urls.setdefault(url, role)
    return [model_target(role, url) for url, role in urls.items()]


def start_prometheus(
    settings: UpSettings,
    directory: UpDirectory,
    supervisor: Supervisor,
    metrics: Mapping[str, Sequence[str]],
    models: Sequence[Target],
    port: int,
    tell: Callable[[str], None],
) -> str:
    """Have a Prometheus started, if one is installed and wanted; nobody waits for it.

    Args:
        settings: what was asked for.
        directory: of the platform.
        supervisor: keeps it running.
        metrics: `host:port` of the replicas' metrics, by service.
        models: the model servers.
        port: of the Prometheus.
        tell: is told where to look, or why there is nothing to look at.

    Returns:
        Its address; empty when there is none.
    """
    if not settings.prometheus:
        return ""
    try:
        program, kept = prometheus_program(), retention()
    except Rejected as error:
        tell(f"metrics: without Prometheus: {error}")
        return ""
    if program is None:
        tell(f"metrics: {HOW_TO_GET_IT}; `matrix top` does without")
        return ""
    rules = settings.rules or (RULES if RULES.is_file() else None)
    replicas = [
        replica_target(service, number, address)
        for service, addresses in metrics.items()
        for number, address in enumerate(addresses)
    ]
    server = Prometheus(
        program,
        directory.path / PROMETHEUS,
        [*replicas, *models],
        kept,
        port,
        rules.absolute() if rules is not None else None,
    )
    server.process.log = directory.log(PROMETHEUS)
    supervisor.add(Program(PROMETHEUS, server.process, server.ready, server.start))
    tell(f"metrics: Prometheus at {server.url}, kept for {kept}; or `matrix top`")
    return server.url
