"""Dry runs: the product's own code over a model, with nothing of it written anywhere."""

from collections.abc import Sequence

from services.runtime.journal import ModelJournal
from services.runtime.ports import ChatModel, Record


class Nowhere:
    """A publisher that drops everything."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Do nothing."""


def unrecorded(model: ChatModel) -> ModelJournal:
    """Return a journal for one dry run: it asks the model and keeps no answer after it."""
    return ModelJournal("dry-run", model, Nowhere())
