"""Embeddings for many callers in few requests: those who have to wait are served together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from services.runtime.errors import Rejected
from services.runtime.ports import Embeddings

Embed = Callable[[Sequence[str]], Awaitable[Embeddings]]
_Asked = tuple[Sequence[str], "asyncio.Future[Embeddings]"]

AT_ONCE = 4
"""Requests under way; who comes then waits for one of them to end, with all others who came."""
TEXTS = 64
"""Of one request, unless one caller has more."""


class EmbeddingBatches:
    """Asks `embed` for the texts of many callers at once.

    A server's work on one more text is nothing beside what a request costs both sides. Nobody
    waits while fewer than `AT_ONCE` requests are under way.
    """

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._waiting: deque[_Asked] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return one vector per text.

        Raises:
            Rejected: the server cannot embed these texts; others' do not matter.
            Retryable: it gave no answer.
        """
        turn: asyncio.Future[Embeddings] = asyncio.get_running_loop().create_future()
        self._waiting.append((texts, turn))
        if len(self._senders) < AT_ONCE:
            sender = asyncio.create_task(self._send(), name="embeddings")
            self._senders.add(sender)
        return await turn

    async def close(self) -> None:
        """Give up what is under way."""
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        for _, turn in self._waiting:
            turn.cancel()

    async def _send(self) -> None:
        batch: list[_Asked] = []
        try:
            while self._waiting:
                batch = self._next_batch()
                await self._answer([asked for asked in batch if not asked[1].done()])
        finally:
            # Here, not in a callback of the task: who asks before that runs would find us at work.
            self._senders.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            for _, turn in batch:  # Cancelled: who waits for it is not to wait for ever.
                turn.cancel()

    def _next_batch(self) -> list[_Asked]:
        batch = [self._waiting.popleft()]
        size = len(batch[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= TEXTS:
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0])
        return batch

    async def _answer(self, batch: Sequence[_Asked]) -> None:
        if not batch:
            return
        try:
            vectors = iter(await self._embed([text for texts, _ in batch for text in texts]))
        except Rejected as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
            else:  # It may be about one text: each by itself.
                for each in batch:
                    await self._answer([each])
        except Exception as error:
            for _, turn in batch:
                _fail(turn, error)
        else:
            for texts, turn in batch:
                own = [next(vectors) for _ in texts]
                if not turn.done():
                    turn.set_result(own)


def _fail(turn: asyncio.Future[Embeddings], error: Exception) -> None:
    if not turn.done():
        turn.set_exception(error)
