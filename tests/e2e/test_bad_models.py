"""Model servers that fail now and then, always, or in the middle of a run."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.events.topics import SAMPLES_JUDGED
from services.local.simulator import Simulator, SimulatorSettings
from tests.e2e.driving import DEADLINE_SECONDS, Ended, at_work, ended
from tests.e2e.reading import count, ids, rows

SLOW = {"slots": 4, "seconds_per_call": 0.02}
"""Leaves time for what happens in the middle of a run."""
REFUSES_ALL = {"max_model_len": 8}


class Server:
    """A model server at one address, which can change, go away and come back."""

    def __init__(self) -> None:
        self.url = ""
        self._simulator: Simulator | None = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2] or 0)

    async def become(self, **settings: float) -> None:
        await self.go()
        self._simulator = Simulator(SimulatorSettings(port=self.port, **settings))  # type: ignore[arg-type]
        self.url = await self._simulator.start()

    async def go(self) -> None:
        if self._simulator is not None:
            await self._simulator.stop()

    async def knocked(self) -> None:
        """Wait until a call of the model is sent away; looks at /metrics are no calls."""
        loop = asyncio.get_running_loop()
        # Not asyncio's server: closed while others arrive, it leaves their connections open.
        with socket.create_server(("127.0.0.1", self.port)) as door:
            door.setblocking(False)
            async with asyncio.timeout(DEADLINE_SECONDS):
                asked = b""
                while not asked.startswith(b"POST"):
                    visitor, _ = await loop.sock_accept(door)
                    with visitor:
                        visitor.setblocking(False)
                        asked = await loop.sock_recv(visitor, 4)


@asynccontextmanager
async def serving(**settings: float) -> AsyncIterator[Server]:
    server = Server()
    await server.become(**settings)
    try:
        yield server
    finally:
        await server.go()


def assert_complete(run: Ended, out: Path, samples: int) -> None:
    assert run.code == 0, run.told
    made = rows(out)
    assert len(made) == len({row["id"] for row in made}) == samples


def assert_given_up(run: Ended, reason: str) -> None:
    assert run.code == 2, run.told
    assert reason in run.told
    assert "What was made is kept: once the cause is mended, the same command goes on." in run.told
    assert "Traceback" not in run.told


def retries(run: Ended) -> int:
    found = re.search(r"retries │ (\d+)", run.told)
    assert found is not None, run.told
    return int(found[1])


async def test_a_model_that_fails_in_every_way_now_and_then_makes_what_was_ordered(
    tmp_path: Path,
) -> None:
    faults = {"error_500": 0.2, "garbage": 0.1, "truncated": 0.2, "hang": 0.02}
    order = ("--agents", "6", "--samples", "4", "--timeout", "1", "--out", tmp_path)
    async with serving(**faults) as server:
        run = await ended("run", "--model", server.url, *order)
    assert_complete(run, tmp_path, 4)
    assert retries(run) > 0


async def test_a_dead_model_is_given_up_with_the_reason_and_a_sound_one_goes_on(
    tmp_path: Path,
) -> None:
    order = ("--agents", "6", "--samples", "4", "--patience", "0.5", "--timeout", "0.5")
    async with serving() as server:
        run = ("run", "--model", server.url, *order, "--out", tmp_path)
        for faults, reason in (
            ({"error_500": 1.0}, "gave no answer for 0.5 s (stage birth); last: HTTP 500"),
            ({"hang": 1.0}, "gave no answer for 0.5 s (stage birth); last: no answer within 0.5 s"),
            (REFUSES_ALL, "It refuses any other request, too: check the model's name, the API key"),
        ):
            await server.become(**faults)
            given_up = await ended(*run)
            assert_given_up(given_up, reason)
            assert server.url in given_up.told
        await server.become()
        assert_complete(await ended(*run), tmp_path, 4)


async def test_a_model_that_refuses_all_prompts_of_a_society_is_told_and_why_is_logged(
    tmp_path: Path,
) -> None:
    order = ("--agents", "3", "--samples", "1", "--out")
    async with serving(max_model_len=40) as server:
        run = ("run", "--model", server.url, *order)
        silent, verbose = await asyncio.gather(
            ended(*run, tmp_path / "silent"), ended(*run, tmp_path / "verbose", "--verbose")
        )
    for run_ in (silent, verbose):
        assert run_.code == 3, run_.told
        assert re.search(r"refused │ \d+ birth", run_.told), run_.told
    assert "HTTP 400" not in silent.told
    assert re.search(r"model refused .*HTTP 400.*greater than max_model_len=40", verbose.told)


async def test_a_server_that_goes_turns_all_away_or_comes_back_in_the_middle_spoils_nothing(
    tmp_path: Path,
) -> None:
    order = ("--agents", "12", "--samples", "36", "--out", tmp_path)
    async with serving(**SLOW) as server:
        run = ("run", "--model", server.url, *order, "--patience")
        async with at_work(*run, "1") as running:
            await running.until(lambda: bool(ids(tmp_path)))
            await server.go()
            assert_given_up(await running.end(), "gave no answer for 1 s")
        kept = ids(tmp_path)

        judged = count(tmp_path, SAMPLES_JUDGED)
        await server.become(**SLOW)
        async with at_work(*run, "60") as running:
            await running.until_judged(tmp_path, judged + 1)
            await server.become(**REFUSES_ALL)
            assert_given_up(await running.end(), "It refuses any other request, too")

        judged = count(tmp_path, SAMPLES_JUDGED)
        await server.become(**SLOW)
        async with at_work(*run, "60") as running:
            await running.until_judged(tmp_path, judged + 1)
            await server.go()
            await server.knocked()
            await server.become()
            completed = await running.end()
        assert_complete(completed, tmp_path, 36)
        assert retries(completed) > 0
        assert kept < ids(tmp_path)
