"""`matrix datasets refilter --store` on a real S3 server: whole or not there, and gone on with."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from services.events import ChatMessage, SampleJudged
from services.local import redeciding
from services.local.simulator import Simulator, SimulatorSettings
from services.reward_filtering.sample_rows import row
from services.reward_filtering.sample_schema import CONTENT_COLUMNS, REJECTED, SAMPLE_SCHEMA
from services.runtime.object_store import Folder, delta_options, list_datasets
from services.runtime.settings import ObjectStoreSettings
from services.runtime.tables import Table
from tests.integration.cli_rpc import Said, command, said
from tests.integration.reward_filtering_rpc import judged
from tests.integration.rpc import until
from tests.integration.test_tables_on_s3 import environment

ANSWER = (
    "Soak the lentils overnight, then simmer them with an onion and a bay leaf, and salt last. "
    "Taste one after half an hour: it is done when it gives way to a fork but keeps its shape. "
    "Stir in a spoon of vinegar and a little butter, and let the pot stand beside the fire."
)
"""About as long as what the student says."""
COUNT = 60


def candidate(number: int) -> SampleJudged:
    made = judged(number, "pairs", accepted=number % 3 != 0)
    asked = (
        ChatMessage("user", f"How do I cook {number} lentils?"),
        ChatMessage("assistant", ANSWER),
    )
    provenance = replace(made.provenance, reward_model="simulated")
    static = {"stage": "static", "reason": "pii", "chosen": -1, "rewards": ()}
    change: dict[str, Any] = (
        static if number % 9 == 0 else {"rewards": (9.0 + number % 4,), "chosen": 0}
    )
    return replace(made, kind="dpo", messages=asked, provenance=provenance, **change)


def table(store: ObjectStoreSettings, name: str) -> Table:
    return Table(f"{store.url}/{name}", SAMPLE_SCHEMA, delta_options(store))


def rows(store: ObjectStoreSettings, name: str) -> list[dict[str, Any]]:
    """All that was decided of a dataset but its name, by id."""
    columns = [each for each in CONTENT_COLUMNS if each != "dataset"]
    found = [table(store, each).read(columns) for each in (name, REJECTED + name)]
    return sorted((each for part in found for each in part.to_pylist()), key=lambda r: r["id"])


@pytest.fixture
def store(bucket: ObjectStoreSettings) -> ObjectStoreSettings:
    """A platform's store below a prefix, with a dataset."""
    place = bucket.model_copy(update={"url": f"{bucket.url}/platform"})
    samples = [candidate(number) for number in range(COUNT)]
    for name, accepted in (("pairs", True), (REJECTED + "pairs", False)):
        table(place, name).append([row(s) for s in samples if s.accepted is accepted], {})
    return place


@dataclass
class Student:
    """A model in training, behind a server of its own."""

    server: Simulator
    url: str

    @property
    def option(self) -> tuple[str, str]:
        return "--student", self.url


@asynccontextmanager
async def student(**knobs: Any) -> AsyncIterator[Student]:
    server = Simulator(SimulatorSettings(seed=9, model="apprentice", **knobs))
    url = await server.start()
    try:
        yield Student(server, url)
    finally:
        await server.stop()


async def interrupted(store: ObjectStoreSettings, to: str) -> None:
    """Refilter for a student that goes away in the middle."""
    async with student(slots=1, seconds_per_call=0.05) as leaving:
        command = asyncio.create_task(refilter(store, to, *leaving.option, "--patience", "0"))
        await until(lambda: leaving.server.calls > 10)
        await leaving.server.stop()
        done = await command
    assert (done.code, "the same command goes on" in done.err) == (2, True)
    (token,) = names(store, f"_refilter/{to}")
    assert 0 < table(store, f"_refilter/{to}/{token}").count() < COUNT
    assert to not in names(store)
    assert to not in names(store, "_rejected")


async def refilter(store: ObjectStoreSettings, to: str, *options: str) -> Said:
    """Run the command with the settings of the store in the environment, and `--store`."""
    keys = {k: v for k, v in environment(store).items() if k.startswith("MATRIX_OBJECT_STORE__")}
    arguments = ("datasets", "refilter", "pairs", "--to", to, "--model", "simulated", *options)
    return await asyncio.to_thread(said, *arguments, **keys)


def names(store: ObjectStoreSettings, folder: str = "") -> list[str]:
    return Folder(f"{store.url}/{folder}".rstrip("/"), delta_options(store)).entries()[0]


async def test_the_same_candidates_become_a_dataset_of_their_own_in_the_store(
    store: ObjectStoreSettings,
) -> None:
    async with student() as server:
        done = await refilter(store, "pairs-2", *server.option)
        again = await refilter(store, "pairs-2", *server.option)
    assert done.code == 0, done.err
    assert f"of {COUNT} candidates in pairs-2" in done.err
    before, after = rows(store, "pairs"), rows(store, "pairs-2")
    assert [each["id"] for each in after] == [each["id"] for each in before]
    asked = [each for each in after if each["stage"] != "static"]
    assert {each["student_model"] for each in asked} == {"apprentice"}
    accepted = table(store, "pairs-2").read(["accepted", "dataset"]).to_pylist()
    assert accepted
    assert all(each == {"accepted": True, "dataset": "pairs-2"} for each in accepted)
    assert table(store, "pairs-2").version() == 0
    assert list_datasets(store) == ["pairs", "pairs-2"]
    assert names(store) == ["_rejected", "pairs", "pairs-2"]
    assert (again.code, "'pairs-2' is in" in again.err) == (2, True)


async def test_a_random_control_is_as_large_and_asks_no_model(store: ObjectStoreSettings) -> None:
    done = await refilter(store, "control", "--random", "--seed", "4")
    assert done.code == 0, done.err
    assert table(store, "control").count() == table(store, "pairs").count()
    assert {each["stage"] for each in rows(store, "control")} == {"random", "static"}


async def test_what_a_model_that_goes_away_interrupts_is_gone_on_with_to_the_same_end(
    store: ObjectStoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redeciding, "KEPT_ROWS", 20)
    async with student() as server:
        whole = await refilter(store, "whole", *server.option)
    await interrupted(store, "parts")
    async with student() as server:
        other = await refilter(store, "parts", *server.option, "--filter", "stages=rip")
        second = await refilter(store, "parts", *server.option)
        asked = server.server.calls
    assert (other.code, "an interrupted refilter has that name" in other.err) == (2, True)
    assert (whole.code, second.code) == (0, 0), second.err
    assert 0 < asked < sum(each["stage"] != "static" for each in rows(store, "whole"))
    assert rows(store, "parts") == rows(store, "whole")
    assert names(store) == ["_rejected", "pairs", "parts", "whole"]


async def test_an_interrupted_one_is_begun_anew_for_another_student_if_asked(
    store: ObjectStoreSettings,
) -> None:
    await interrupted(store, "parts")
    mine = await refilter(store, "parts")
    assert (mine.code, "student is 'apprentice' there, 'simulated' here" in mine.err) == (2, True)
    anew = await refilter(store, "parts", "--restart")
    assert anew.code == 0, anew.err
    models = {each["student_model"] for each in rows(store, "parts") if each["stage"] != "static"}
    assert models == {"simulated"}
    assert names(store) == ["_rejected", "pairs", "parts"]


async def test_new_candidates_meanwhile_are_not_mixed_in(store: ObjectStoreSettings) -> None:
    await interrupted(store, "parts")
    late = replace(candidate(1), sample_id="late", created_at=0.0)
    table(store, "pairs").append([row(late)], {})
    async with student() as server:
        done = await refilter(store, "parts", *server.option)
    assert done.code == 0, done.err
    assert len(rows(store, "parts")) == COUNT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_a_process_that_is_ended_leaves_no_dataset_and_the_same_command_makes_it(
    store: ObjectStoreSettings, tmp_path: Path, number: int
) -> None:
    async with student(slots=1, seconds_per_call=0.05) as slow:
        arguments = ("datasets", "refilter", "pairs", "--to", "new", "--model", "simulated")
        line = command(*arguments, *slow.option, "--store", store.url)
        with (tmp_path / "told").open("wb") as told:
            process = await asyncio.create_subprocess_exec(
                *line, stdout=told, stderr=told, env={**os.environ, **environment(store)}
            )
        await until(lambda: "_refilter" in names(store))
        await until(lambda: slow.server.calls > 8)
        process.send_signal(number)
        code = await asyncio.wait_for(process.wait(), 20)
        assert code == (130 if number == signal.SIGINT else -signal.SIGKILL)
        assert list_datasets(store) == ["pairs"]
        if number == signal.SIGINT:
            assert "the same command goes on where it was" in (tmp_path / "told").read_text()
            (token,) = names(store, "_refilter/new")
            assert table(store, f"_refilter/new/{token}").count() > 0
    async with student() as quick:
        done = await refilter(store, "new", *quick.option)
        whole = await refilter(store, "whole", *quick.option)
    assert (done.code, whole.code) == (0, 0), done.err
    assert rows(store, "new") == rows(store, "whole")


async def test_another_judge_than_the_first_is_told(store: ObjectStoreSettings) -> None:
    other = replace(candidate(1).provenance, reward_model="arbiter")
    sample = replace(candidate(1), sample_id="x", provenance=other)
    table(store, "pairs").append([row(sample)], {})
    done = await refilter(store, "new")
    assert done.code == 0
    assert "were judged by arbiter, and the student's are by simulated" in done.err


async def test_an_unknown_dataset_is_told_with_those_there_are(
    store: ObjectStoreSettings,
) -> None:
    keys = {k: v for k, v in environment(store).items() if k.startswith("MATRIX_OBJECT_STORE__")}
    done = await asyncio.to_thread(
        said, *("datasets", "refilter", "chat", "--to", "new", "--model", "simulated"), **keys
    )
    assert (done.code, f"no dataset 'chat' in {store.url}; there are: pairs" in done.err) == (
        2,
        True,
    )
    assert names(store) == ["_rejected", "pairs"]
