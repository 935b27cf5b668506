"""Joins are decided in the log: of two decisions of one number, the first one counts."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from services.agent_state.joining import carried_out, outcome
from services.agent_state.placing import Roster
from services.events import JoinDecided, SocietyImported, codec
from services.events.topics import POPULATION
from services.runtime.errors import Retryable
from services.runtime.ports import Publisher, Record

_REMEMBERED = 1000
"""Decisions between the writing of one and the look whether it counts; there are a few at most."""
PATIENCE_SECONDS = 60.0
"""How long a join waits for what is on its way."""


class DecisionLog:
    """What the population topic says of the society and of joins, record by record.

    All records are in one partition, so that all replicas find the same decisions to count.
    """

    def __init__(self) -> None:
        self.society: SocietyImported | None = None
        self.number = 0
        """Of the last decision that counts."""
        self._first: OrderedDict[int, str] = OrderedDict()
        """Of the last numbers, the decision that counts."""
        self.unfinished: JoinDecided | None = None
        """The last decision, if nobody said yet that it was carried out."""
        self.kept: set[tuple[int, str]] = set()
        """Number and id of the decisions that the log holds in full, also of void ones."""
        self._changed = asyncio.Event()

    def learn(self, event: JoinDecided | SocietyImported) -> None:
        """Take in the next record."""
        if isinstance(event, SocietyImported):
            # One that was frozen may say late what was so before.
            if self.society is None or event.joins >= self.society.joins:
                self.society = event
            if event.joins >= self.number:
                self.number, self.unfinished = event.joins, None
        else:
            note = self.kept.discard if event.carried_out else self.kept.add
            note((event.number, event.decision_id))
            if event.number > self.number:
                self.number = event.number
                self._first[event.number] = event.decision_id
                if len(self._first) > _REMEMBERED:
                    self._first.popitem(last=False)
                self.unfinished = None if event.carried_out else event
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def decision_id(self) -> str:
        """The last decision that counts; empty before there is one."""
        return next(reversed(self._first.values()), "")

    def counts(self, decision: JoinDecided) -> bool:
        """Return whether a decision was the first of its number, also when later ones came."""
        return self._first.get(decision.number) == decision.decision_id

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds of what is known here.

        Raises:
            Retryable: it does not within `PATIENCE_SECONDS`.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            raise Retryable(
                f"the log did not bring back what was written within {PATIENCE_SECONDS:g} s: try "
                "again"
            ) from None


class Decisions:
    """Decides joins together with the other replicas: see `joining.Ledger`."""

    def __init__(
        self,
        log: DecisionLog,
        publisher: Publisher,
        roster: Callable[[SocietyImported], Awaitable[Roster]],
    ) -> None:
        self._log = log
        self._publisher = publisher
        self._roster = roster

    async def settle(self) -> tuple[SocietyImported, int]:
        """Carry out what was decided and not finished, by whomever."""
        log = self._log
        await log.until(lambda: log.society is not None)
        if log.unfinished is not None:
            await self._carry_out(log.unfinished)
            await log.until(lambda: log.unfinished is None)
        assert log.society is not None
        return log.society, log.number + 1

    async def roster(self, society: SocietyImported) -> Roster:
        """Return all groups of a society."""
        return await self._roster(society)

    async def decide(self, decision: JoinDecided) -> bool:
        """Write a decision down and, if it is the first one of its number, carry it out."""
        log = self._log
        await self._publisher.publish([_record(decision)])
        await log.until(lambda: log.number >= decision.number)
        # By now others may have carried it out, and decided again.
        if not log.counts(decision):
            return False
        await self._carry_out(decision)
        return True

    async def _carry_out(self, decision: JoinDecided) -> None:
        # One after the other: what is said to be done must be so.
        await self._publisher.publish(carried_out(decision))
        await self._publisher.publish(outcome(decision))
        # Not this one yet: of a rival of its number, whoever has not read this one would think that
        # it is the first.
        done = [
            _record(JoinDecided(number, decision_id, carried_out=True))
            for number, decision_id in sorted(self._log.kept)
            if number < decision.number
        ]
        await self._publisher.publish(done)


def _record(decision: JoinDecided) -> Record:
    key = f"join/{decision.number}/{decision.decision_id}"
    record = codec.to_record(POPULATION, key, decision)
    # With the society, so that all are in one order.
    return Record(record.topic, key, record.value, record.headers, partition_key="society")
