"""An import that arrives line by line: profiles are checked as they come, and then made a society.

Nothing of what arrives is written anywhere: only the anonymised society is.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from services.agent_state.importing import Importer, completion
from services.agent_state.joining import Joining
from services.agent_state.profiles import Profile, ProfileError, parse_profile
from services.events import SocietyImported
from services.runtime.errors import Rejected
from services.runtime.ports import Clock, Publisher

MAX_LINE_BYTES = 1 << 20
MAX_PROFILES = 1_000_000
REPORTED = 100
"""Errors that are reported line by line; beyond that they are counted."""


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a profile was not taken in."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import made."""

    society: SocietyImported
    errors: tuple[LineError, ...]
    refused: int
    joined: int = 0
    joined_groups: int = 0
    founded_groups: int = 0
    present: int = 0


class Intake:
    """The profiles of one import."""

    def __init__(self, seed: int, join: bool = False) -> None:
        self.seed = seed
        self.join = join
        """Whether they are to join a society that is there."""
        self.profiles: list[Profile] = []
        self.errors: list[LineError] = []
        self.refused = 0
        self._line = 0
        self._lines: dict[str, int] = {}
        self._digest = hashlib.sha256()

    def add(self, text: str) -> None:
        """Take in the next profile, or note why it cannot be.

        Raises:
            Rejected: there are too many.
        """
        self._line += 1
        if self._line > MAX_PROFILES:
            raise Rejected(f"more than {MAX_PROFILES:,} profiles: an import takes no more")
        try:
            profile = parse_profile(_fields(text))
            first = self._lines.setdefault(profile.profile_id, self._line)
            if first != self._line:
                raise ProfileError("id", f"{profile.profile_id!r} stands in line {first} too")
        except ProfileError as error:
            self._refuse(self._line, str(error))
        else:
            self.profiles.append(profile)
            self._digest.update(f"{profile!r}\x1f".encode(errors="surrogatepass"))

    def refuse(self, profile_id: str, reason: str) -> None:
        """Note why a profile that could be read was not taken in."""
        self._refuse(self._lines.get(profile_id, 0), reason)

    def _refuse(self, line: int, reason: str) -> None:
        self.refused += 1
        if len(self.errors) < REPORTED:
            self.errors.append(LineError(line, reason))

    def fingerprint(self) -> str:
        """Return what tells these profiles and their seed from others."""
        return f"{self._digest.hexdigest()[:16]}-{self.seed}"

    def reported(self) -> tuple[LineError, ...]:
        """Return the errors in order of line."""
        return tuple(sorted(self.errors, key=lambda error: error.line))


class SocietyImport:
    """Makes a society of an intake, or has its people join the one that is there."""

    def __init__(
        self,
        importer: Importer,
        joining: Joining,
        publisher: Publisher,
        known: Callable[[], SocietyImported | None],
        clock: Clock,
    ) -> None:
        self._importer = importer
        self._joining = joining
        self._publisher = publisher
        self._known = known
        self._clock = clock
        self._made: SocietyImported | None = None
        self._lock = asyncio.Lock()

    async def run(self, intake: Intake) -> ImportReport:
        """Import, and return what came of it; a repeat makes the same society and is harmless.

        Raises:
            Rejected: no profile is usable, or another society is here already.
            Retryable: a model did not answer, or people cannot join now.
        """
        if not intake.profiles:
            first = [f": line {error.line}: {error.reason}" for error in intake.errors[:1]]
            raise Rejected(f"no usable profile among {intake.refused}{''.join(first)}")
        # One at a time: the second of two is told of the society that the first one makes.
        async with self._lock:
            return await self._run(intake)

    async def _run(self, intake: Intake) -> ImportReport:
        fingerprint, known = intake.fingerprint(), self._known() or self._made
        if known is not None and known.fingerprint != fingerprint:
            if intake.join:
                return await self._join(intake)
            raise Rejected(
                f"a society of {known.agents} agents is here already, made of other profiles or "
                "another seed: an import does not add to it unless told to (`join` of its options, "
                "--join of `matrix agents import`)"
            )
        made, tombstones = await self._importer.society(
            intake.profiles, intake.seed, intake.refused, fingerprint
        )
        for refusal in made.refusals:
            intake.refuse(refusal.profile_id, refusal.reason)
        await self._publisher.publish(made.foundations())
        # Of a repeat, what was said first stands, and who joined since.
        society = known or replace(made.society, imported_at=self._clock())
        await self._publisher.publish([completion(society), *tombstones])
        self._made = society
        return ImportReport(society, intake.reported(), intake.refused)

    async def _join(self, intake: Intake) -> ImportReport:
        done = await self._joining.run(intake.profiles, intake.seed, intake.refused)
        for refusal in done.refusals:
            intake.refuse(refusal.profile_id, refusal.reason)
        await self._publisher.publish(done.tombstones)
        return ImportReport(
            done.society,
            intake.reported(),
            intake.refused,
            done.joined,
            len(done.joined_groups),
            len(done.founded_groups),
            done.present,
        )


def _fields(text: str) -> dict[str, object]:
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_LINE_BYTES:
        raise ProfileError("line", f"is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProfileError("line", f"is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ProfileError("line", f"is JSON, but no object: {type(fields).__name__}")
    return fields
