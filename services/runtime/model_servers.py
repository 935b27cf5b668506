"""The model servers of a service process: found by settings, and waited for."""

import asyncio
import time

import structlog

from services.runtime.errors import Rejected
from services.runtime.metrics import ModelMetrics
from services.runtime.models import CallSettings, Endpoint, HttpModels, served_models
from services.runtime.ports import Role
from services.runtime.settings import ModelsSettings

_log = structlog.get_logger(__name__)
ROLES: tuple[Role, ...] = ("simulator", "teacher", "student", "reward", "embedding")


async def open_models(settings: ModelsSettings, metrics: ModelMetrics) -> HttpModels:
    """Return the models of all roles, once every server that is set answers.

    A role without a server of its own uses that of the role `simulator`.

    Raises:
        Rejected: no server is set.
    """
    if not settings.simulator.url:
        raise Rejected(
            "MATRIX_MODELS__SIMULATOR__URL is not set: give the base address of an "
            "OpenAI-compatible server, like http://127.0.0.1:8000"
        )
    found: dict[str, list[str]] = {}
    endpoints: dict[Role, Endpoint] = {}
    for role in ROLES:
        own = settings.of(role)
        url = own.url.rstrip("/").removesuffix("/v1")
        key = own.api_key.get_secret_value()
        if url not in found:
            found[url] = await _wait_for(role, url, key)
        name = own.name or (found[url][0] if found[url] else "")
        endpoints[role] = Endpoint(url, name, key)
    calls = CallSettings(settings.timeout_seconds, settings.patience_seconds)
    return HttpModels(endpoints, metrics, settings.slots, calls)


async def _wait_for(role: str, url: str, api_key: str) -> list[str]:
    pause, told = 0.2, 0.0
    while True:
        try:
            return await served_models(url, api_key)
        except Rejected as error:
            if time.monotonic() - told > 10:
                told = time.monotonic()
                _log.warning("waiting for the model", role=role, reason=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)
