"""The society of a run: imported once, found again by every later start, and joined as it grows."""

import hashlib
from pathlib import Path

import services.agent_state
from services.agent_state.builtin import builtin_profiles_path
from services.agent_state.importing import Imported, Importer
from services.agent_state.joining import Joining, JoinReport, carried_out, outcome
from services.agent_state.placing import Placement, Roster, seats_of
from services.agent_state.profile_files import ProfileImport, read_profiles
from services.events import AgentsJoined, GroupFounded, JoinDecided, SocietyImported, codec
from services.events.topics import OBSERVATIONS_DELIVERED, POPULATION
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
        return imported, fingerprint_of(path, imported, agents)
    return imported, fingerprint_of(path, imported, agents)


def fingerprint_of(path: Path | None, imported: ProfileImport, agents: int) -> str:
    """Return what tells the first `agents` profiles that were chosen from others."""
    if path is None:
        return "built-in"
    content = "\x1f".join(map(repr, imported.profiles[:agents]))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


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
    importer = _importer(composition)
    made, tombstones = await importer.society(
        profiles.profiles, seed, len(profiles.problems), fingerprint
    )
    await composition.log.publish(made.foundations())
    await composition.log.publish([made.completion(), *tombstones])
    return made


async def join_society(
    composition: Composition, profiles: ProfileImport, seed: int, refused: int = 0
) -> JoinReport:
    """Have the people join who are not in the society yet.

    Raises:
        Rejected: there is none yet, or it was made with another embedding model.
        Retryable: the model did not answer.
    """
    joining = Joining(_importer(composition), LocalLedger(composition.log))
    report = await joining.run(profiles.profiles, seed, refused)
    await composition.log.publish(report.tombstones)
    return report


class LocalLedger:
    """Where joins of a run are decided: nobody else is at work in its directory."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def settle(self) -> tuple[SocietyImported, int]:
        """Return the society, and the number of the next decision.

        Raises:
            Rejected: there is no society yet.
        """
        society = await known_society(self._log)
        if society is None:
            raise Rejected("there is no society yet that people could join: import one first")
        return society, society.joins + 1

    async def roster(self, society: SocietyImported) -> Roster:
        """Return all groups as the log has them; their owners need not have read it."""
        events = [
            codec.from_delivery(delivery)
            for delivery in await self._log.history(OBSERVATIONS_DELIVERED.name)
            if delivery.headers.get("type") in _MEMBERSHIP
        ]
        founded = [event for event in events if isinstance(event, GroupFounded)]
        # A foundation may be there twice: the import broke off after it.
        groups = {event.group.group_id: seats_of(event) for event in reversed(founded)}
        roster = Roster(list(groups.values()))
        roster.add(Placement(joined=tuple(e for e in events if isinstance(e, AgentsJoined))))
        return roster

    async def decide(self, decision: JoinDecided) -> bool:
        """Write down what happens: the log takes all of it, or nothing."""
        await self._log.publish([*carried_out(decision), *outcome(decision)])
        return True


_MEMBERSHIP = {GroupFounded.__name__, AgentsJoined.__name__}


def _importer(composition: Composition) -> Importer:
    return Importer(composition.journal, composition.embedder, prompts_of(services.agent_state))
