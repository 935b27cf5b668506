"""How soon the gate of a model server opens, in simulated time."""

import asyncio
from typing import Any

import pytest

from services.runtime import admission
from services.runtime.admission import Admission
from services.runtime.endpoints import Endpoint
from services.runtime.model_load import ServerLoad
from tests.virtual_time import in_virtual_time

SLOTS = 256


def test_the_first_calls_of_all_open_the_gate_before_the_next_look_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def urls(url: str) -> list[str]:
        return [url]

    async def main() -> tuple[int, int]:
        server = Admission(Endpoint("http://model", "m"), None)
        looks = 0

        async def load(*_: Any) -> ServerLoad:
            nonlocal looks
            looks += 1
            inside = server.gate.in_flight
            return ServerLoad(min(inside, SLOTS), max(0, inside - SLOTS))

        monkeypatch.setattr(admission, "read_load", load)
        monkeypatch.setattr(admission, "replica_urls", urls)

        async def call() -> None:
            async with server.gate.at(0):
                await asyncio.sleep(2.0)

        watching = asyncio.create_task(server.watch())
        await asyncio.sleep(10.0)
        idle = looks
        calls = [asyncio.create_task(call()) for _ in range(2 * SLOTS)]
        await asyncio.sleep(0.5)
        inside = server.gate.in_flight
        for task in (watching, *calls):
            task.cancel()
        return idle, inside

    idle, inside = in_virtual_time(main())
    assert idle <= 12  # One a second while nobody calls.
    assert inside >= SLOTS
