"""Import: whose profile a model sees, in which form, and what becomes of a leak."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import services.agent_state
from services.agent_state.importing import Imported, Importer
from services.agent_state.profiles import Profile
from services.events import Newcomer, codec
from services.events import topics as t
from services.local.composition import prompts_of
from services.local.log import Log
from services.local.simulator import Simulator, SimulatorSettings
from services.local.simulator.vocabulary import NOUNS
from services.runtime.endpoints import Endpoint
from services.runtime.errors import Rejected
from services.runtime.journal import ModelJournal
from services.runtime.metrics import ModelMetrics
from services.runtime.model_servers import ROLES
from services.runtime.models import HttpModels
from services.runtime.ports import Record

CHAT = "/v1/chat/completions"
TOPICS = [topic.name for topic in t.TOPICS if topic.compacted]


@dataclass(frozen=True)
class World:
    """A log, a simulated model that remembers its calls, and an importer between them."""

    log: Log
    simulator: Simulator
    models: HttpModels

    async def imported(
        self, profiles: list[Profile], refused: int = 0
    ) -> tuple[Imported, list[Record]]:
        """Import with what the log holds of earlier answers."""
        journal = ModelJournal(t.MODEL_ANSWERS.name, self.models, self.log)
        journal.restore(await self.log.history(t.MODEL_ANSWERS.name))
        importer = Importer(journal, self.models, prompts_of(services.agent_state))
        return await importer.society(profiles, seed=5, refused=refused, fingerprint="test")

    def prompts(self, path: str = "") -> list[str]:
        calls = [call for call in self.simulator.log if path in ("", call.path)]
        return [prompt for call in calls for prompt in call.prompts]


@asynccontextmanager
async def world(folder: Path, settings: SimulatorSettings | None = None) -> AsyncIterator[World]:
    log = Log(folder / "log.sqlite", TOPICS)
    simulator = Simulator(settings or SimulatorSettings(), record=True)
    endpoint = Endpoint(await simulator.start(), "simulated")
    try:
        async with HttpModels(dict.fromkeys(ROLES, endpoint), ModelMetrics()) as models:
            yield World(log, simulator, models)
    finally:
        await simulator.stop()
        await log.close()


def synthetic(count: int) -> list[Profile]:
    jobs = "nurse farmer welder baker lawyer fisher tailor miner".split()
    return [
        Profile(
            profile_id=f"s{number}",
            name=f"Mina {number}",
            description=f"Mina is a {jobs[number % 8]} in a town of {number} bridges.",
            actions=(f"Asked about bridge {number}.",),
            synthetic=True,
        )
        for number in range(count)
    ]


REAL = Profile(
    profile_id="dora@example.org",
    name="Dora Quiroga",
    description=(
        "Dora Quiroga (dora@example.org, +34 612 345 678) keeps forty hives at 12 Alder Lane and "
        "teaches QUIROGA's method to Dr. Pérez. Passport no. XK1234567; https://example.org/dora"
    ),
    actions=("Rang +34 612 345 678 about a swarm.", "Sold honey as @dora_bees."),
    headline="Beekeeper Dora, born on 3 May 1981",
)
SECRETS = (
    *("Dora", "Quiroga", "Pérez", "dora@example.org", "612 345 678", "Alder Lane", "XK1234567"),
    *("example.org/dora", "dora_bees", "3 May 1981"),
)


def secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


def agents(imported: Imported) -> list[Newcomer]:
    return [newcomer for founded in imported.groups for newcomer in founded.newcomers]


async def test_synthetic_profiles_are_taken_as_they_are_and_never_sent_to_the_model(
    tmp_path: Path,
) -> None:
    profiles = synthetic(30)
    async with world(tmp_path) as here:
        imported, _ = await here.imported(profiles)

        assert here.prompts(CHAT) == []
        assert {(a.name, a.description, a.past_actions) for a in agents(imported)} == {
            (p.name, p.description, p.actions) for p in profiles
        }
        assert (imported.society.agents, imported.society.refused) == (30, 0)


async def test_a_real_profile_is_scrubbed_before_any_prompt_is_sent_or_anything_is_written(
    tmp_path: Path,
) -> None:
    assert len(secrets_in(repr(REAL))) == len(SECRETS)
    async with world(tmp_path) as here:
        imported, tombstones = await here.imported([REAL, *synthetic(5)])
        await here.log.publish([*imported.foundations(), imported.completion()])
        (prompt,) = here.prompts(CHAT)
        (agent,) = (agent for agent in agents(imported) if "Mina" not in agent.name)

        assert secrets_in("\n".join(here.prompts())) == []
        assert "keeps forty hives" in prompt
        assert agent.name in prompt
        answer = next(call.answers[0] for call in here.simulator.log if call.path == CHAT)
        assert agent.description == " ".join(answer.split())
        assert agent.past_actions == ("Rang [phone] about a swarm.", "Sold honey as [handle].")
        await here.log.publish(tombstones)
        assert await here.log.history(t.MODEL_ANSWERS.name) == []
        written = [d.value for topic in t.TOPICS for d in await here.log.history(topic.name)]
        assert len(written) == len(imported.groups) + 1
        assert secrets_in(b"\n".join(written).decode(errors="replace")) == []


async def test_a_rewrite_in_which_an_identifier_survives_is_refused_and_counted(
    tmp_path: Path,
) -> None:
    # The simulated model brings words of its own; some of these people are called by one of them.
    profiles = [
        Profile(f"r{place}", f"Zita {noun.title()}", f"Zita paints and repairs wall {place}.")
        for place, noun in enumerate(NOUNS)
    ]
    async with world(tmp_path) as here:
        imported, _ = await here.imported(profiles, refused=7)
        answers = {call.prompts[0]: call.answers[0] for call in here.simulator.log if call.answers}
        leaks = set[str]()
        for profile in profiles:
            (answer,) = (a for p, a in answers.items() if p.count(profile.description[5:]))
            if re.search(rf"\b{profile.name.split()[1]}\b", answer, re.IGNORECASE):
                leaks.add(profile.profile_id)

        assert 0 < len(leaks) < len(profiles) - 10
        assert {refusal.profile_id for refusal in imported.refusals} == leaks
        assert {refusal.reason for refusal in imported.refusals} == {
            "after anonymising it still holds an identifier of the original (name)"
        }
        assert imported.society.agents == len(profiles) - len(leaks)
        assert imported.society.refused == 7 + len(leaks)
        assert sum(imported.society.regions.values()) == imported.society.agents


async def test_a_profile_that_the_model_refuses_does_not_stop_the_others(tmp_path: Path) -> None:
    long = replace(REAL, profile_id="long", description="Dora keeps bees. " * 200)
    async with world(tmp_path, SimulatorSettings(max_model_len=520)) as here:
        imported, _ = await here.imported([long, REAL])

        assert [(r.profile_id, r.reason) for r in imported.refusals] == [
            ("long", "the model did not rewrite it")
        ]
        assert len(agents(imported)) == imported.society.agents == 1
        with pytest.raises(Rejected, match=r"no profile could be imported: the model did not"):
            await here.imported([long])


async def test_a_second_import_gives_the_same_society(tmp_path: Path) -> None:
    profiles = [*synthetic(40), REAL]
    societies = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        async with world(tmp_path / name) as here:
            imported, _ = await here.imported(profiles)
            societies.append(imported)
    first, second = societies

    assert first == second
    assert len({agent.agent_id for agent in agents(first)}) == 41
    assert len({founded.group.group_id for founded in first.groups}) == len(first.groups) > 1
    assert first.foundations() == second.foundations()
    assert first.completion() == second.completion()


async def test_an_import_that_broke_off_goes_on_without_asking_twice(tmp_path: Path) -> None:
    people = [replace(REAL, profile_id=str(number)) for number in range(12)]
    async with world(tmp_path) as here:
        broken, _ = await here.imported(people)  # its tombstones are never published
        asked = len(here.prompts(CHAT))
        repeated, tombstones = await here.imported(people)

        assert repeated == broken
        assert len(here.prompts(CHAT)) == asked == 12
        await here.log.publish(tombstones)
        assert await here.log.history(t.MODEL_ANSWERS.name) == []


async def test_each_group_is_founded_once_by_a_record_of_its_own_key(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        imported, _ = await here.imported(synthetic(40))
        await here.log.publish(imported.foundations())
        deliveries = await here.log.history(t.OBSERVATIONS_DELIVERED.name)

    found = {delivery.key: codec.from_delivery(delivery) for delivery in deliveries}
    assert len(found) == len(deliveries)
    assert found == {founded.group.group_id: founded for founded in imported.groups}


async def test_ranks_count_the_agents_of_the_groups_before_in_an_order_of_all_groups(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:
        imported, _ = await here.imported(synthetic(60))

    in_order = sorted(imported.groups, key=lambda founded: founded.group.rank)
    before = 0
    for founded in in_order:
        assert founded.group.rank == before
        before += len(founded.newcomers)
    assert before == 60
    # At random: a limit must not keep out one kind of people.
    assert in_order != list(imported.groups)
