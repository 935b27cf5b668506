import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.embedding_batches import AT_ONCE, TEXTS, EmbeddingBatches
from services.runtime.errors import Rejected, Retryable
from services.runtime.ports import Embeddings


class Server:
    """Embeds a text as its length; answers when it is let."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.at_work = self.most = 0
        self.away = False
        self.let = asyncio.Event()

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.requests.append(list(texts))
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        try:
            await self.let.wait()
        finally:
            self.at_work -= 1
        if self.away:
            raise Retryable("away")
        if "bad" in texts:
            raise Rejected("a text is bad")
        return [[float(len(text))] for text in texts]


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "ccc", "bad"]), min_size=1), min_size=1))
def test_each_caller_gets_the_vectors_of_its_texts_and_only_its_own_failures(
    asked: list[list[str]],
) -> None:
    async def run() -> None:
        server = Server()
        batches = EmbeddingBatches(server.embed)
        calls = [asyncio.create_task(batches.embed(texts)) for texts in asked]
        await asyncio.sleep(0)
        server.let.set()
        for texts, call in zip(asked, calls, strict=True):
            if "bad" in texts:
                with pytest.raises(Rejected):
                    await call
            else:
                assert await call == [[float(len(text))] for text in texts]
        assert server.most <= AT_ONCE

    asyncio.run(run())


async def busy(server: Server, batches: EmbeddingBatches) -> list[asyncio.Task[Embeddings]]:
    """Have as many requests under way as there may be."""
    calls = []
    for number in range(AT_ONCE):
        calls.append(asyncio.create_task(batches.embed([f"{number}"])))
        for _ in range(5):
            await asyncio.sleep(0)
    assert len(server.requests) == AT_ONCE
    return calls


async def test_those_who_wait_go_together_and_not_more_than_fit() -> None:
    server = Server()
    batches = EmbeddingBatches(server.embed)
    calls = await busy(server, batches)
    calls += [asyncio.create_task(batches.embed([f"text {n}"])) for n in range(2 * TEXTS)]
    await asyncio.sleep(0)
    assert [len(request) for request in server.requests] == [1] * AT_ONCE
    server.let.set()
    await asyncio.gather(*calls)
    assert [len(request) for request in server.requests[AT_ONCE:]] == [TEXTS, TEXTS]


async def test_a_caller_that_comes_when_the_last_one_is_answered_is_answered_too() -> None:
    server = Server()
    server.let.set()
    batches = EmbeddingBatches(server.embed)

    async def again_and_again() -> None:
        for number in range(50):
            assert await batches.embed(["x" * number]) == [[float(number)]]

    async with asyncio.timeout(10):
        await asyncio.gather(*(again_and_again() for _ in range(3 * AT_ONCE)))


async def test_who_gives_up_takes_nobody_along() -> None:
    server = Server()
    batches = EmbeddingBatches(server.embed)
    calls = await busy(server, batches)
    calls += [asyncio.create_task(batches.embed([f"{AT_ONCE + n}"])) for n in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    calls[AT_ONCE].cancel()
    server.let.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    given_up = [n for n, each in enumerate(found) if isinstance(each, asyncio.CancelledError)]
    assert given_up == [0, AT_ONCE]
    assert server.requests[AT_ONCE:] == [[f"{AT_ONCE + 1}", f"{AT_ONCE + 2}"]]


async def test_a_server_that_is_away_is_away_for_all_who_asked_together() -> None:
    server = Server()
    server.away = True
    server.let.set()
    batches = EmbeddingBatches(server.embed)
    calls = [batches.embed(["text"]) for _ in range(AT_ONCE + 5)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, Retryable) for each in found)
    server.away = False
    assert await batches.embed(["text"]) == [[4.0]]


async def test_closing_leaves_nobody_waiting() -> None:
    server = Server()
    batches = EmbeddingBatches(server.embed)
    calls = [asyncio.create_task(batches.embed(["text"])) for _ in range(AT_ONCE + 5)]
    await asyncio.sleep(0)
    await batches.close()
    async with asyncio.timeout(10):
        found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in found)
