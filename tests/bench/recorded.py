"""A run whose prompts are kept, in the order in which they are sent to the model."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

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
    agents: int, samples: int, seed: int = 0, seconds_per_call: float = 0.1
) -> list[SentPrompt]:
    """Return the prompts of `matrix run`: a society of built-in people that fills an sft order.

    Args:
        agents: people.
        samples: accepted samples of the order.
        seed: of the grouping, the requirements and the simulated model.
        seconds_per_call: time of each model call. Without any, prompts would come in the order in
            which one process gets round to them, and not in that of a society that waits for
            answers.
    """
    recorder = Recorder()
    simulator = Simulator(SimulatorSettings(seed=seed, seconds_per_call=seconds_per_call))
    url = await simulator.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            choice = ModelChoice(url, slots=_SLOTS)
            settings = RunSettings(Path(folder), choice, agents, samples, seed=seed)
            # Where all calls of all services pass, and are still told apart by stage.
            with patch.object(platform, "ProbedModel", recorder.around):
                await platform.Platform(settings, Progress(), lambda _: None).run()
    finally:
        await simulator.stop()
    return recorder.sent
