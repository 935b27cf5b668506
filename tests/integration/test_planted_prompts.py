"""A mark is planted in prompts and answers, models do their worst, and the log never has it."""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from services.local.endpoints import ModelChoice
from services.local.platform import Platform
from services.local.progress import Progress
from services.local.settings import RunSettings
from services.local.simulator import Simulator, SimulatorSettings
from services.runtime.log_repeats import Repeats
from services.runtime.logs import configure_service_logs

MARK = "zanzibar-canary-0815"
_PEOPLE = 12


@dataclass
class Quoting:
    """Passes calls on to a simulated model; some it refuses, and quotes what it was sent."""

    behind: str
    url: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    rng: random.Random = field(default_factory=lambda: random.Random(3))

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.seen["prompts"] += MARK.encode() in body
        # Whether it refuses everything is asked without a prompt of ours.
        moody = request.path.startswith("/v1/chat") and MARK.encode() in body
        mood = self.rng.random() if moody else 1.0
        if mood < 0.15:
            self.seen["400"] += 1
            return web.Response(status=400, body=b"{'input': " + body + b"} is not valid")
        if mood < 0.2:
            self.seen["500"] += 1
            return web.Response(status=500, text=f"crashed at {body.decode()!r}")
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                self.behind + request.path,
                data=body,
                headers={"Content-Type": "application/json"},
            ) as response,
        ):
            content = await response.read()
        if request.path == "/v1/chat/completions" and response.status == 200:
            content = self._marked(content)
            if mood < 0.25:
                self.seen["cut"] += 1
                content = content[: content.rfind(b'"finish_reason"')]
            elif mood < 0.3:
                self.seen["other"] += 1
                content = b'{"answers": ' + content + b"}"
        return web.Response(body=content, status=response.status, content_type="application/json")

    def _marked(self, content: bytes) -> bytes:
        answer = json.loads(content)
        for choice in answer["choices"]:
            text = choice["message"]["content"]
            if len(text) > 40 and not text.startswith("{"):
                self.seen["answers"] += 1
                choice["message"]["content"] = text.replace(" ", f" {MARK} ", 1)
        return json.dumps(answer).encode()


@asynccontextmanager
async def quoting() -> AsyncIterator[Quoting]:
    simulator = Simulator(SimulatorSettings(seed=1))
    model = Quoting(await simulator.start())
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", model.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield model
    finally:
        await runner.cleanup()
        await simulator.stop()


async def test_no_prompt_and_no_answer_stands_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    people = tmp_path / "people.jsonl"
    with people.open("w") as file:
        for number in range(_PEOPLE):
            about = f"Zita{number} keeps hives, sells honey, and calls her boat {MARK}."
            file.write(json.dumps({"name": f"Zita Brandt{number}", "description": about}) + "\n")
    repeats = configure_service_logs("test", "json", Repeats(most=1_000_000))
    try:
        async with quoting() as model, asyncio.timeout(120):
            choice = ModelChoice(model.url, embedding=model.url)
            order = RunSettings(tmp_path / "run", choice, _PEOPLE, 12, profiles=people)
            assert (await Platform(order, Progress(), lambda line: None).run()).accepted
    finally:
        repeats.flush()
        root.handlers[:], root.level = before[0], before[1]
    log = capsys.readouterr().err
    assert min(model.seen[what] for what in ("prompts", "answers", "400", "500", "cut")) > 0
    lines = [json.loads(line) for line in log.splitlines()]
    refused = [line for line in lines if line["event"] == "model refused"]
    assert refused
    assert all("HTTP 400" in line["reason"] and "***" in line["reason"] for line in refused)
    assert MARK not in log
    # All that is done for a message or a candidate says for which.
    placed = [line for line in refused if not line["unit"].startswith("import/")]
    assert placed
    assert all({"topic", "key"} <= line.keys() or "candidate" in line for line in placed)
