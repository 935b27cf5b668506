"""The built-in people differ in meaning too, by the text that the platform groups them by."""

from pathlib import Path

import numpy as np
import pytest

import services.agent_state
from services.agent_state.builtin import builtin_profiles_path
from services.agent_state.importing import Importer
from services.agent_state.profile_files import read_profiles
from services.events import topics as t
from services.local.composition import prompts_of
from services.local.log import Log
from services.local.minilm import MiniLMEmbedder
from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.endpoints import Endpoint
from services.runtime.journal import ModelJournal
from services.runtime.metrics import ModelMetrics
from services.runtime.model_servers import ROLES
from services.runtime.models import HttpModels

pytest.importorskip("onnxruntime", reason="the local models are not installed")


async def embedded_texts(folder: Path) -> list[str]:
    """Return what the import of the built-in people asks an embedding server for."""
    log = Log(folder / "log.sqlite", [])
    simulator = Simulator(SimulatorSettings(), record=True)
    endpoint = Endpoint(await simulator.start(), "simulated")
    try:
        async with HttpModels(dict.fromkeys(ROLES, endpoint), ModelMetrics()) as models:
            journal = ModelJournal(t.MODEL_ANSWERS.name, models, log)
            importer = Importer(journal, models, prompts_of(services.agent_state))
            profiles = read_profiles(builtin_profiles_path()).profiles
            await importer.society(profiles, seed=0, refused=0, fingerprint="built-in")
    finally:
        await simulator.stop()
        await log.close()
    return [text for call in simulator.log for text in call.prompts]


async def test_nearest_neighbours_among_the_built_in_people_are_far_apart(tmp_path: Path) -> None:
    texts = await embedded_texts(tmp_path)
    embedder = MiniLMEmbedder()
    vectors = np.asarray(await embedder.embed(texts), dtype=np.float32)
    embedder.close()
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1.0)
    nearest = similarities.max(axis=1)
    print(f"nearest neighbour: mean {nearest.mean():.3f}, at most {nearest.max():.3f}")

    assert len(texts) == 1000
    assert nearest.mean() < 0.65  # measured: 0.58; paraphrases of each other are beyond 0.9
    assert nearest.max() < 0.90
