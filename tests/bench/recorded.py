"""A run whose prompts are kept, in the order in which they are sent to the model."""

import re
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import aiohttp

from services.local import platform
from services.local.endpoints import ModelChoice
from services.local.progress import Progress
from services.local.settings import RunSettings
from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.ports import ChatAnswer, ChatModel, ChatRequest, Role

_SLOTS = 1024
"""More than the run asks for at once: what is asked is sent at once, in that order."""
Turns = tuple[tuple[str, str], ...]
"""(role, content) of each message of a chat."""


@dataclass(frozen=True, slots=True)
class SentPrompt:
    """One call."""

    stage: str
    turns: Turns
    choices: int = 1
    """Answers asked for; vLLM looks the prompt up once for each."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A run's prompts, and what the simulated model counted of them."""

    sent: list[SentPrompt]
    queries: float
    """Prompt tokens that it looked up in its KV cache."""
    hits: float
    """Those that were there."""


@dataclass
class Recorder:
    """Chat models that note what they are asked, and pass it on."""

    sent: list[SentPrompt] = field(default_factory=list)

    def around(self, model: ChatModel) -> ChatModel:
        """Return a model that is recorded here."""
        return _Recorded(model, self.sent)


@dataclass
class _Recorded:
    model: ChatModel
    sent: list[SentPrompt]

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        turns = tuple((message.role, message.content) for message in request.messages)
        self.sent.append(SentPrompt(stage, turns, request.n))
        return await self.model.chat(role, stage, request)


async def recorded_run(
    agents: int, samples: int, kv_tokens: int, seed: int = 0, seconds_per_call: float = 0.1
) -> Recording:
    """Return the prompts of `matrix run`: a society of built-in people that fills an sft order.

    Args:
        agents: people.
        samples: accepted samples of the order.
        kv_tokens: what the KV cache of the simulated model holds.
        seed: of the grouping, the requirements and the simulated model.
        seconds_per_call: time of each model call. Without any, prompts would come in the order in
            which one process gets round to them, and not in that of a society that waits for
            answers.
    """
    recorder = Recorder()
    settings = SimulatorSettings(seed=seed, seconds_per_call=seconds_per_call)
    blocks = kv_tokens // settings.block_size
    simulator = Simulator(replace(settings, kv_blocks=blocks, slots=_SLOTS))
    url = await simulator.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            choice = ModelChoice(url, slots=_SLOTS)
            asked = RunSettings(Path(folder), choice, agents, samples, seed=seed)
            # Where all calls of all services pass, and are still told apart by stage.
            with patch.object(platform, "ProbedModel", recorder.around):
                await platform.Platform(asked, Progress(), lambda _: None).run()
        queries, hits = [await _counted(url, name) for name in ("queries", "hits")]
    finally:
        await simulator.stop()
    return Recording(recorder.sent, queries, hits)


async def _counted(url: str, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        lines = await response.text()
    pattern = rf"^vllm:prefix_cache_{name}_total\{{[^}}]*\}} (\S+)$"
    return sum(map(float, re.findall(pattern, lines, re.MULTILINE)))
