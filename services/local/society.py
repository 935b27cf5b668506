"""The society of a run: imported once, and found again by every later start."""

import hashlib
from pathlib import Path

import services.agent_state
from services.agent_state.builtin import builtin_profiles_path
from services.agent_state.importing import Imported, Importer
from services.agent_state.profile_files import ProfileImport, read_profiles
from services.events import SocietyImported, codec
from services.events.topics import POPULATION
from services.local.composition import Composition, prompts_of
from services.local.log import Log
from services.runtime.errors import Rejected


def chosen_profiles(path: Path | None, agents: int) -> tuple[ProfileImport, str]:
    """Return the first `agents` profiles of a file, or built-in ones, and what tells them apart.

    Raises:
        Rejected: the file cannot be read, or there are not so many built-in ones.
    """
    imported = read_profiles(path or builtin_profiles_path(), agents)
    if path is None:
        if len(imported.profiles) < agents:
            raise Rejected(
                f"--agents {agents}: there are {len(imported.profiles)} built-in profiles; give "
                "more with --profiles FILE"
            )
        return imported, "built-in"
    content = "\x1f".join(map(repr, imported.profiles))
    return imported, hashlib.sha256(content.encode()).hexdigest()[:16]


async def known_society(log: Log) -> SocietyImported | None:
    """Return the society that the log holds; None when no import came to its end."""
    for delivery in await log.history(POPULATION.name):
        event = codec.from_delivery(delivery)
        if isinstance(event, SocietyImported):
            return event
    return None


async def import_society(
    composition: Composition, profiles: ProfileImport, fingerprint: str, seed: int
) -> Imported:
    """Make the society, and found its groups.

    An import that breaks off is done again and makes the same society of the same answers: they
    are dropped only once it is noted that the society is whole.

    Raises:
        Rejected: no profile is left.
        Retryable: the model did not answer.
    """
    importer = Importer(composition.journal, composition.embedder, prompts_of(services.agent_state))
    made, tombstones = await importer.society(
        profiles.profiles, seed, len(profiles.problems), fingerprint
    )
    await composition.log.publish(made.foundations())
    await composition.log.publish([made.completion(), *tombstones])
    return made
