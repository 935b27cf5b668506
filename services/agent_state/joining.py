"""People join a society that is there: who they are is found out, then decided where they live."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from services.agent_state.importing import (
    Importer,
    Refusal,
    agent_id_of,
    completion,
    foundation,
)
from services.agent_state.placing import Placement, Roster
from services.agent_state.profiles import Profile
from services.events import AgentsJoined, JoinDecided, Newcomer, SocietyImported, codec
from services.events.topics import OBSERVATIONS_DELIVERED
from services.runtime.ids import derived_id
from services.runtime.ports import Record

DECIDED_AT_ONCE = 256
"""People of one decision at most."""
DECIDED_CHARACTERS = 500_000
"""Characters of the people of one decision at most, so that it fits into a message."""


class Ledger(Protocol):
    """Where joins are decided, one after the other."""

    async def settle(self) -> tuple[SocietyImported, int]:
        """Finish what was decided, and return the society then and the next decision's number.

        Raises:
            Retryable: it cannot be done now.
        """

    async def roster(self, society: SocietyImported) -> Roster:
        """Return all groups of a society.

        Raises:
            Retryable: some of them are not to be had now.
        """

    async def decide(self, decision: JoinDecided) -> bool:
        """Write a decision down and carry it out; False when another one has its number."""


@dataclass(frozen=True, slots=True)
class JoinReport:
    """What came of a join."""

    society: SocietyImported
    joined: int = 0
    joined_groups: frozenset[str] = frozenset()
    """Groups of before."""
    founded_groups: frozenset[str] = frozenset()
    present: int = 0
    """People who were in the society before."""
    refusals: tuple[Refusal, ...] = ()
    tombstones: list[Record] = field(default_factory=list)
    """Of the journal, to be published."""


class Joining:
    """Adds people to a society."""

    def __init__(self, importer: Importer, ledger: Ledger) -> None:
        self._importer = importer
        self._ledger = ledger

    async def run(self, profiles: Sequence[Profile], seed: int, refused: int) -> JoinReport:
        """Have these people join; those who are in the society already are passed over.

        Broken off and repeated, it goes on: what was decided is kept, and the rest is decided as
        it would have been.

        Args:
            profiles: Of whom some may be there.
            seed: Of the grouping of those for whom no group has room.
            refused: Profiles that the reading refused before.

        Raises:
            Rejected: the society was made with another embedding model.
            Retryable: a model or the log did not answer, or groups change their owners.
        """
        society, number = await self._ledger.settle()
        roster = await self._ledger.roster(society)
        strangers = [p for p in profiles if agent_id_of(p) not in roster.present]
        people = await self._importer.people(strangers)
        report = JoinReport(
            society,
            present=len(profiles) - len(strangers),
            refusals=people.refusals,
            tombstones=people.tombstones,
        )
        refused += len(people.refusals)
        waiting = people.newcomers
        while waiting:
            count = _at_once(waiting)
            embeddings = await self._importer.embeddings(waiting[:count])
            # Others may have come in meanwhile, by a decision that was made elsewhere.
            absent = [i for i in range(count) if waiting[i].agent_id not in roster.present]
            newcomers = [waiting[i] for i in absent]
            if newcomers:
                placement = await asyncio.to_thread(
                    roster.place, newcomers, embeddings[absent], seed
                )
                decision = _decision(roster, placement, society, number, refused)
                if not await self._ledger.decide(decision):
                    society, number = await self._ledger.settle()
                    roster = await self._ledger.roster(society)
                    continue
                assert decision.society is not None
                society, number, refused = decision.society, number + 1, 0
                report = _with(report, placement, society)
            report = replace(report, present=report.present + count - len(newcomers))
            waiting = waiting[count:]
        return report


def carried_out(decision: JoinDecided) -> list[Record]:
    """Return what happens by a decision; a repeat is harmless."""
    return [
        *map(foundation, decision.founded),
        *(_arrival(joined, decision.decision_id) for joined in decision.joined),
    ]


def outcome(decision: JoinDecided) -> list[Record]:
    """Return what says that a decision was carried out."""
    return [] if decision.society is None else [completion(decision.society)]


def _arrival(joined: AgentsJoined, cause: str) -> Record:
    return codec.to_record(OBSERVATIONS_DELIVERED, joined.group_id, joined, cause=f"joined/{cause}")


def _at_once(people: Sequence[Newcomer]) -> int:
    """Return how many of the first people are decided on together."""
    characters = 0
    for count, person in enumerate(people[:DECIDED_AT_ONCE]):
        characters += len(person.name) + len(person.headline) + len(person.description)
        characters += sum(map(len, person.past_actions))
        if count and characters > DECIDED_CHARACTERS:
            return count
    return min(len(people), DECIDED_AT_ONCE)


def _decision(
    roster: Roster, placement: Placement, society: SocietyImported, number: int, refused: int
) -> JoinDecided:
    """Return a decision, and put its people where it says in the roster."""
    roster.add(placement)
    return JoinDecided(
        number=number,
        decision_id=derived_id("join", number, repr(placement)),
        founded=placement.founded,
        joined=placement.joined,
        society=roster.society(society, number, refused),
    )


def _with(report: JoinReport, placement: Placement, society: SocietyImported) -> JoinReport:
    old = {each.group_id for each in placement.joined if each.newcomers}
    return replace(
        report,
        society=society,
        joined=report.joined + placement.people,
        joined_groups=report.joined_groups | (old - report.founded_groups),
        founded_groups=report.founded_groups | {f.group.group_id for f in placement.founded},
    )
