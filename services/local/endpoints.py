"""What --model names: the local LLM, the simulated one, or a server's address."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from services.local.minilm import MiniLMEmbedder
from services.local.model import SLOTS, LocalModel
from services.runtime.endpoints import Endpoint, has_score_head, served_models
from services.runtime.errors import Rejected
from services.runtime.metrics import ModelMetrics
from services.runtime.model_servers import REWARDS, ROLES, check_held_out
from services.runtime.models import CallSettings, HttpModels
from services.runtime.ports import Embedder, Role

_LOCAL_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model a run uses."""

    spec: str
    """`local`, `simulated`, or the base address of an OpenAI-compatible server."""
    name: str = ""
    """Model asked for; the server's first one when empty."""
    api_key: str = ""
    slots: int | None = None
    """Calls at once, at most."""
    patience_seconds: float = 120.0
    timeout_seconds: float = 120.0
    student: str = ""
    """Address of the server of the model in training; that of `spec` when empty."""
    student_name: str = ""
    """Model asked of it; its first one when empty."""
    reward: str = ""
    """Address of a reward model, or of a model to judge by; that of `spec` when empty."""
    reward_name: str = ""
    held_out: str = ""
    """Address of a second one, whose rewards are reported and never decide; none when empty."""
    held_out_name: str = ""
    embedding: str = ""
    """Address of a server of embeddings; when empty, a small model in this process makes them."""
    embedding_name: str = ""

    def __repr__(self) -> str:
        return f"ModelChoice(spec={self.spec!r}, name={self.name!r})"


@dataclass(frozen=True, slots=True)
class OpenModels:
    """Models that are ready to be called."""

    chat: HttpModels
    embedder: Embedder
    name: str
    limits: dict[str, int]
    """Filter limits that suit the model's size."""
    student: str
    """Name of the model in training."""
    reward: str
    """Name of the model that gives rewards."""
    held_out: str
    """Name of the one that has no say; empty when there is none."""
    embedding: str
    """Name of the model of a server of embeddings; empty when there is none."""
    watched: str = ""
    """Address of the server, if it tells vLLM's metrics: our small local one does not."""


@asynccontextmanager
async def open_models(
    choice: ModelChoice, metrics: ModelMetrics, scratch: Path, seed: int
) -> AsyncIterator[OpenModels]:
    """Start or find the model, and stop it in the end.

    Raises:
        Rejected: it cannot be had; the message says why.
    """
    settings = CallSettings(choice.timeout_seconds, choice.patience_seconds)
    if choice.spec == "local":
        # It is this process: slow where the machine is busy, but never away.
        settings = replace(settings, timeout_seconds=max(_LOCAL_SECONDS, choice.timeout_seconds))
    if choice.spec == "simulated":
        # With an HTTP server, which a run on somebody else's has no use for.
        from services.local.simulator import Simulator, SimulatorSettings

        simulator = Simulator(SimulatorSettings(seed=seed))
        url = await simulator.start()
        endpoint = Endpoint(url, "simulated")
        try:
            endpoints = await _endpoints(endpoint, choice)
            async with HttpModels(endpoints, metrics, choice.slots, settings) as models:
                yield _opened(models, models, {}, endpoints, choice)
        finally:
            await simulator.stop()
        return
    embedder = None if choice.embedding else MiniLMEmbedder()
    limits: dict[str, int] = {}
    slots: int | None
    local = LocalModel(scratch / "llama.log") if choice.spec == "local" else None
    if local is not None:
        url, name, slots = await local.start(), LocalModel.name, SLOTS
        limits = {"responses": 2, "student_responses": 2, "max_response_tokens": 100}
    else:
        url, slots = _address(choice.spec), None
        name = await _served(url, choice.name, choice.api_key)
    endpoint = Endpoint(url, name, choice.api_key)
    try:
        endpoints = await _endpoints(endpoint, choice)
        async with HttpModels(endpoints, metrics, choice.slots or slots, settings) as models:
            yield _opened(models, embedder or models, limits, endpoints, choice)
    finally:
        if embedder is not None:
            embedder.close()
        if local is not None:
            await local.stop()


def _opened(
    models: HttpModels,
    embedder: Embedder,
    limits: dict[str, int],
    endpoints: Mapping[Role, Endpoint],
    choice: ModelChoice,
) -> OpenModels:
    names = {role: endpoint.model for role, endpoint in endpoints.items()}
    return OpenModels(
        models,
        embedder,
        names["simulator"],
        limits,
        names["student"],
        names["reward"],
        names.get("held_out", ""),
        names["embedding"] if choice.embedding else "",
        "" if choice.spec == "local" else endpoints["simulator"].url,
    )


async def _endpoints(endpoint: Endpoint, choice: ModelChoice) -> dict[Role, Endpoint]:
    endpoints = dict.fromkeys(ROLES, endpoint)
    own: dict[Role, tuple[str, str]] = {
        "student": (choice.student, choice.student_name),
        "reward": (choice.reward, choice.reward_name),
        "held_out": (choice.held_out, choice.held_out_name),
        "embedding": (choice.embedding, choice.embedding_name),
    }
    for role, (address, name) in own.items():
        if address:
            url = _address(address, f"--{role.replace('_', '-')}")
            found = Endpoint(url, await _served(url, name, choice.api_key), choice.api_key)
            if role in REWARDS:
                found = replace(found, scores=await has_score_head(found))
            endpoints[role] = found
    check_held_out(endpoints)
    return endpoints


async def _served(url: str, name: str, api_key: str) -> str:
    """Return the name of a model that a server has, its first one when `name` is empty."""
    names = await served_models(url, api_key)
    found = name or (names[0] if names else "")
    if found not in names:
        raise Rejected(f"{url} serves {', '.join(names) or 'no model'}, not {found!r}")
    return found


def _address(spec: str, option: str = "--model") -> str:
    if not spec.startswith(("http://", "https://")):
        if option != "--model":
            raise Rejected(f"{option} {spec!r} is no address like http://127.0.0.1:8001")
        raise Rejected(
            f"--model {spec!r} is neither 'local', 'simulated' nor an address like "
            "http://127.0.0.1:8000"
        )
    return spec.rstrip("/").removesuffix("/v1")
