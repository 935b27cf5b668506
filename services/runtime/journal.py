"""A journal of model answers: what was paid for is not asked again after a crash.

A unit of work (a group's step, a candidate) may need many calls. Each answer is written under the
unit and the name of the call before it is used; a unit that is repeated after a crash finds its
answers and decides what it decided before. When the unit is done, its answers are dropped.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import orjson

from services.runtime.ids import derived_seed
from services.runtime.metrics import ModelMetrics
from services.runtime.ports import (
    ChatAnswer,
    ChatModel,
    ChatRequest,
    Completion,
    Delivery,
    Publisher,
    Record,
    Role,
)

_SEPARATOR = "\x1f"


def _encode(answer: ChatAnswer) -> bytes:
    return orjson.dumps(answer)


def _decode(data: bytes) -> ChatAnswer:
    fields = orjson.loads(data)
    completions = tuple(Completion(**completion) for completion in fields.pop("completions"))
    return ChatAnswer(completions=completions, **fields)


class ModelJournal:
    """The answers of all unfinished units of work of this process.

    With `seeded` every request carries a seed that follows from its unit and call, for runs that
    must come out the same; without, none does, because some servers fail on seeds under load.
    `partition` tells the partition of a partition key, for `forget_partitions`; `certain` is
    awaited with the partition key before a model is asked: it raises when that is not ours to pay.
    Malformed answers are counted in `metrics`.
    """

    def __init__(
        self,
        topic: str,
        model: ChatModel,
        publisher: Publisher,
        seeded: bool = False,
        metrics: ModelMetrics | None = None,
        partition: Callable[[str], int] = lambda key: 0,
        certain: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.topic = topic
        self.metrics = metrics or ModelMetrics()
        self._model = model
        self._publisher = publisher
        self._seeded = seeded
        self._answers: dict[str, dict[str, bytes]] = defaultdict(dict)
        self._partition = partition
        self._certain = certain
        self._partitions: dict[str, int] = {}
        """Of the units that have answers."""

    def restore(self, history: Iterable[Delivery]) -> None:
        """Take over the answers that earlier processes wrote."""
        for delivery in history:
            unit, separator, call = delivery.key.partition(_SEPARATOR)
            if not separator:
                continue  # None of ours.
            if delivery.value:
                self._answers[unit][call] = delivery.value
                self._partitions[unit] = delivery.partition
            elif unit in self._answers:
                self._answers[unit].pop(call, None)

    def unit(self, name: str, partition_key: str) -> "UnitOfWork":
        """Return the calls of one unit of work; its name is unique among all units."""
        return UnitOfWork(self, name, partition_key)

    async def _ask(
        self, unit: "UnitOfWork", call: str, role: Role, stage: str, request: ChatRequest
    ) -> ChatAnswer:
        known = self._answers.get(unit.name, {}).get(call)
        if known is not None:
            return _decode(known)
        if self._seeded:
            request = replace(request, seed=derived_seed(unit.name, call))
        if self._certain is not None:
            await self._certain(unit.partition_key)
        answer = await self._model.chat(role, stage, request)
        value = _encode(answer)
        await self._publisher.publish([self._record(unit, call, value)])
        self._answers[unit.name][call] = value
        self._partitions[unit.name] = self._partition(unit.partition_key)
        return answer

    def forget_partitions(self, partitions: set[int]) -> None:
        """Drop the answers of units that are somebody else's now; the log keeps them."""
        for unit in [unit for unit, place in self._partitions.items() if place in partitions]:
            del self._partitions[unit]
            self._answers.pop(unit, None)

    def _record(self, unit: "UnitOfWork", call: str, value: bytes) -> Record:
        key = f"{unit.name}{_SEPARATOR}{call}"
        return Record(self.topic, key, value, partition_key=unit.partition_key)

    def _forget(self, unit: "UnitOfWork") -> list[Record]:
        calls = self._answers.pop(unit.name, {})
        self._partitions.pop(unit.name, None)
        return [self._record(unit, call, b"") for call in calls]


class UnitOfWork:
    """The model calls of one unit of work; each call's name is unique in the unit."""

    def __init__(self, journal: ModelJournal, name: str, partition_key: str) -> None:
        self._journal = journal
        self.name = name
        self.partition_key = partition_key

    async def chat(self, call: str, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        """Return the journalled answer of this call, or ask the model and journal its answer.

        Raises:
            Rejected: the model will never answer this request.
            Retryable: it did not answer in spite of retries.
        """
        return await self._journal._ask(self, call, role, stage, request)

    def count_malformed(self, stage: str) -> None:
        """Note that an answer did not have the form asked for."""
        self._journal.metrics.malformed[stage] += 1

    def forget(self) -> list[Record]:
        """Return the records that drop the unit's answers: publish them when its work is done."""
        return self._journal._forget(self)
