"""Taking over and giving up the partitions of claims and orders."""

from collections.abc import Mapping

from services.events.topics import DATASETS
from services.instruction_generation.codec import GROUP_CLAIMS
from services.instruction_generation.consumer import GenerationConsumer
from services.runtime.journal import ModelJournal
from services.runtime.keeping import Restoring
from services.runtime.ports import Delivery


class ClaimsKeeping:
    """Takes over and gives up partitions: `adopt` and `release` of the runtime's `Keeper`."""

    def __init__(
        self,
        consumer: GenerationConsumer,
        journal: ModelJournal,
        claims_topic: str,
        restoring: Restoring,
    ) -> None:
        self._consumer = consumer
        self._journal = journal
        self._claims_topic = claims_topic
        self._restoring = restoring

    async def adopt(self, partition: int, history: Mapping[str, list[Delivery]]) -> None:
        """Take over a partition.

        Args:
            partition: Its number.
            history: What it holds, by topic: of the changelog of claims, the model answers, and
                the topic of datasets, for the owner of a dataset builds on its last order.
        """
        answers = history[self._journal.topic]
        self._journal.restore(each for each in answers if each.key.startswith("candidate/"))
        await self._restoring.restore(history[DATASETS.name], self._consumer.restore)
        claims = await self._restoring.restore(
            history[self._claims_topic],
            lambda records: [GROUP_CLAIMS.decode(record.value) for record in records],
        )
        self._consumer.adopt(claims)  # All at once: the uses of a stratum are counted anew.

    async def release(self, gone: set[int]) -> None:
        """Give partitions up."""
        self._consumer.release()
        self._journal.forget_partitions(gone)
