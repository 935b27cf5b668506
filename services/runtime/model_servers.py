"""The model servers of a service process: found by settings, and waited for."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from services.runtime.endpoints import Endpoint, has_score_head, served_models
from services.runtime.errors import MatrixError, Rejected, Retryable
from services.runtime.kserve_endpoints import is_named, resolved
from services.runtime.metrics import ModelMetrics
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import Role
from services.runtime.settings import ModelsSettings

T = TypeVar("T")

_log = structlog.get_logger(__name__)
ROLES: tuple[Role, ...] = ("simulator", "teacher", "student", "reward", "embedding")
"""Those that there always is a model of."""
REWARDS: tuple[Role, ...] = ("reward", "held_out")


async def open_models(settings: ModelsSettings, metrics: ModelMetrics) -> HttpModels:
    """Return the models of all roles, once every server that is set answers.

    A role without a server of its own uses that of the role `simulator`; without one, there is no
    held-out reward.

    Raises:
        Rejected: no server is set, or one that is to give rewards cannot.
    """
    if not settings.simulator.url:
        raise Rejected(
            "MATRIX_MODELS__SIMULATOR__URL is not set: give the base address of an "
            "OpenAI-compatible server, like http://127.0.0.1:8000"
        )
    found: dict[str, list[str]] = {}
    endpoints: dict[Role, Endpoint] = {}
    roles = (*ROLES, "held_out") if settings.held_out.url else ROLES
    for role in roles:
        own = settings.of(role)
        address = await _wait_for(role, partial(resolved, own.url), Retryable)
        url = address.rstrip("/").removesuffix("/v1")
        key = own.api_key.get_secret_value()
        if url not in found:
            found[url] = await _wait_for(role, partial(served_models, url, key), Rejected)
        name = own.name or (found[url][0] if found[url] else "")
        endpoints[role] = Endpoint(
            url,
            name,
            key,
            named=own.url if is_named(own.url) else "",
            prompt_price=own.prompt_price,
            completion_price=own.completion_price,
        )
        if role in REWARDS and url != endpoints["simulator"].url:
            head = partial(has_score_head, endpoints[role])
            scores = await _wait_for(role, head, Retryable)
            endpoints[role] = replace(endpoints[role], scores=scores)
    check_held_out(endpoints)
    calls = CallSettings(settings.timeout_seconds, settings.patience_seconds)
    return HttpModels(endpoints, metrics, settings.slots, calls)


def check_held_out(endpoints: Mapping[Role, Endpoint]) -> None:
    """Refuse a held-out reward that is the one that decides.

    Raises:
        Rejected: both are the same model of the same server.
    """
    held_out, reward = endpoints.get("held_out"), endpoints["reward"]
    if held_out is not None and (held_out.url, held_out.model) == (reward.url, reward.model):
        raise Rejected(
            f"the held-out reward is model {reward.model!r} at {reward.url}, which also decides: "
            "give another one, or none"
        )


async def _wait_for(role: Role, ask: Callable[[], Awaitable[T]], away: type[MatrixError]) -> T:
    """Ask a server until it answers; `away` is what is raised while it does not."""
    pause, told = 0.2, 0.0
    while True:
        try:
            return await ask()
        except away as error:
            if time.monotonic() - told > 10:
                told = time.monotonic()
                _log.warning("waiting for the model", role=role, reason=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)
