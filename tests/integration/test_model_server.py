"""The models of this machine behind one port, as an OpenAI-compatible server."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from services.local.minilm import MiniLMEmbedder
from services.local.model_server import EMBEDDING_MODEL, ModelServer, ModelServerSettings
from services.runtime.endpoints import Endpoint, served_models
from services.runtime.metrics import ModelMetrics
from services.runtime.model_servers import ROLES
from services.runtime.models import HttpModels
from services.runtime.ports import ChatRequest, Message

pytest.importorskip("xllamacpp")
CHAT_MODEL = "SmolLM2-135M-Instruct"
TEXTS = ["a nurse in Lyon", "a welder in Oslo"]


@asynccontextmanager
async def serving(settings: ModelServerSettings) -> AsyncIterator[str]:
    server = ModelServer(settings)
    try:
        yield await server.start()
    finally:
        await server.stop()


async def post(url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as client, client.post(url, json=body) as response:
        return response.status, json.loads(await response.read())


async def test_chats_and_embeddings_come_from_one_address(tmp_path: Path) -> None:
    async with serving(ModelServerSettings(log=tmp_path / "llama.log")) as url:
        assert await served_models(url) == [CHAT_MODEL, EMBEDDING_MODEL]
        endpoints = dict.fromkeys(ROLES, Endpoint(url, CHAT_MODEL))
        endpoints["embedding"] = Endpoint(url, EMBEDDING_MODEL)
        request = ChatRequest((Message("user", "Name a colour."),), max_tokens=8)
        async with HttpModels(endpoints, ModelMetrics()) as models:
            answer, vectors = await asyncio.gather(
                models.chat("simulator", "act", request), models.embed(TEXTS)
            )
        assert answer.completions[0].text
        embedder = MiniLMEmbedder()
        np.testing.assert_allclose(vectors, await embedder.embed(TEXTS), atol=1e-5)
        embedder.close()

        body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Say yes."}]}
        status, reply = await post(f"{url}/v1/chat/completions", body | {"model": "gpt"})
        assert (status, reply["error"]["type"]) == (404, "NotFoundError")
        status, _ = await post(f"{url}/v1/chat/completions", {"model": CHAT_MODEL})
        assert 400 <= status < 600
        status, _ = await post(f"{url}/v1/embeddings", {"model": CHAT_MODEL, "input": "x"})
        assert status == 404


async def test_without_the_llm_there_are_embeddings_only() -> None:
    async with serving(ModelServerSettings(embeddings_only=True)) as url:
        assert await served_models(url) == [EMBEDDING_MODEL]
        status, reply = await post(f"{url}/v1/embeddings", {"input": TEXTS})
        assert (status, len(reply["data"])) == (200, 2)
        status, _ = await post(f"{url}/v1/chat/completions", {"model": CHAT_MODEL, "messages": []})
        assert status == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_with_code_0_when_told_to(number: signal.Signals) -> None:
    code = (
        "import asyncio\n"
        "from services.local.model_server import ModelServerSettings, serve_models\n"
        "settings = ModelServerSettings(embeddings_only=True)\n"
        "asyncio.run(serve_models(settings, lambda url: print(url, flush=True)))\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert (await process.stdout.readline()).startswith(b"http://127.0.0.1:")
        process.send_signal(number)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
