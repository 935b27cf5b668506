"""RewardFilteringService on real servers: verdicts by id and in pages, counts, and watching."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
from matrix.reward_filtering.v1 import service_pb2 as pb

from services.events import ChatMessage
from services.runtime.ids import derived_id
from tests.integration.reward_filtering_rpc import judged, put, serving
from tests.integration.rpc import Code, ask, ending, listening, refusal, until
from tests.integration.running import work


async def pages(channels: list[grpc.aio.Channel], **fields: Any) -> list[list[str]]:
    """Return the ids of all pages, each asked of the next replica."""
    found: list[list[str]] = []
    token = ""
    while True:
        request = pb.ListSamplesRequest(page_token=token, **fields)
        page = await ask(channels[len(found) % len(channels)], request)
        found.append([sample.sample_id for sample in page.samples])
        token = page.next_page_token
        if not token:
            return found


async def test_a_verdict_is_told_whole_accepted_or_not_also_by_one_who_lags(
    tmp_path: Path,
) -> None:
    good, bad = judged(1), judged(2, accepted=False)
    async with serving(tmp_path, 2) as (both, channels):
        await both[0].take_in(good, bad)
        assert len(both[1].verdicts) == 0
        for sample in (good, bad):
            for channel in channels:
                answer = await ask(channel, pb.GetSampleRequest(sample_id=sample.sample_id))
                assert answer.sample.accepted == sample.accepted
                assert answer.sample.reason == sample.reason
                assert tuple(answer.sample.provenance.agent_ids) == ("a", "b")
                assert answer.sample.provenance.prompt == "prompt"
                assert not answer.sample.embedding
        for unknown in ("nothing", derived_id("other", 1), good.sample_id.upper(), ""):
            code, _ = await refusal(ask(channels[1], pb.GetSampleRequest(sample_id=unknown)))
            assert code is Code.NOT_FOUND


async def test_pages_hold_every_verdict_once_whoever_answers(tmp_path: Path) -> None:
    samples = [judged(n, accepted=n % 3 != 0) for n in range(20)]
    async with serving(tmp_path, 2) as (both, channels):
        await put(both[0].parts, *samples[:10])
        await work(both[0].worker)
        await put(both[0].parts, *samples[10:], judged(5, "other"))
        for replica in both:
            await work(replica.worker)
        accepted = await pages(channels, dataset="d", page_size=3)
        everything = await pages(channels, dataset="d", page_size=6, include_rejected=True)
        assert await pages(channels, dataset="declared") == [[]]
    assert [len(page) for page in accepted] == [3, 3, 3, 3, 1]
    assert [len(page) for page in everything] == [6, 6, 6, 2]
    listed = sorted(sample_id for page in accepted for sample_id in page)
    assert listed == sorted(sample.sample_id for sample in samples if sample.accepted)
    assert sorted(s for page in everything for s in page) == sorted(s.sample_id for s in samples)


async def test_a_page_begun_before_new_verdicts_goes_on_after_the_last_one_given(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(*(judged(n) for n in range(5)))
        first = await ask(channel, pb.ListSamplesRequest(dataset="d", page_size=2))
        await replica.take_in(*(judged(n) for n in range(5, 9)), judged(0))
        token = first.next_page_token
        rest = await ask(channel, pb.ListSamplesRequest(dataset="d", page_token=token))
        for request, code in [
            (pb.ListSamplesRequest(dataset="d", page_token="x"), Code.INVALID_ARGUMENT),
            (pb.ListSamplesRequest(dataset="declared", page_token=token), Code.INVALID_ARGUMENT),
            (pb.ListSamplesRequest(dataset="d", page_size=101), Code.INVALID_ARGUMENT),
            (pb.ListSamplesRequest(dataset="unknown"), Code.NOT_FOUND),
        ]:
            assert (await refusal(ask(channel, request)))[0] is code
    ids = [sample.sample_id for sample in (*first.samples, *rest.samples)]
    assert sorted(ids) == sorted(judged(n).sample_id for n in range(9))


async def test_watchers_see_new_verdicts_of_their_dataset(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await replica.take_in(judged(1))
        accepted = await listening(channel, pb.WatchSamplesRequest(dataset="d"))
        everything = await listening(channel, pb.WatchSamplesRequest(include_rejected=True))
        await replica.take_in(judged(1), judged(2, "other", False), judged(3, accepted=False))
        await replica.take_in(judged(4))
        seen = [(await everything.read()).sample.sample_id for _ in range(3)]
        only = await accepted.read()
        accepted.cancel()
        everything.cancel()
    assert only.sample.sample_id == judged(4).sample_id
    assert not only.sample.embedding
    assert sorted(seen) == sorted(
        [judged(n, d).sample_id for n, d in [(2, "other"), (3, "d"), (4, "d")]]
    )


async def test_a_watcher_who_does_not_read_is_ended(tmp_path: Path) -> None:
    long = replace(judged(1), messages=(ChatMessage("user", "x" * 200_000),))
    async with serving(tmp_path) as ((replica,), (channel,)):
        stream = await listening(channel, pb.WatchSamplesRequest())

        def ended() -> bool:
            replica.samples.publish(long)
            return not replica.samples.subscribers

        await until(ended)
        _, code, _ = await ending(stream)
    assert code is Code.RESOURCE_EXHAUSTED


async def test_the_counts_of_a_dataset_are_of_all_its_verdicts(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        accepted = [judged(n) for n in range(4)]
        rejected = [judged(n, accepted=False) for n in range(4, 7)]
        await replica.take_in(*accepted, *rejected, accepted[0], judged(1, "other"))
        before = await ask(channel, pb.GetDatasetStatsRequest(dataset="d"))
        await replica.deliver()
        stats = (await ask(channel, pb.GetDatasetStatsRequest(dataset="d"))).stats
        empty = await ask(channel, pb.GetDatasetStatsRequest(dataset="declared"))
        code, _ = await refusal(ask(channel, pb.GetDatasetStatsRequest(dataset="../d")))
    assert before.stats.delivered == 0
    assert (stats.accepted, stats.delivered) == (4, 4)
    assert dict(stats.rejected) == {"length": 2, "refusal": 1}
    assert (stats.usage.calls, stats.usage.prompt_tokens) == (21, 700)
    assert stats.tokens_per_accepted == 7 * 120 / 4
    assert stats.newest_at == 1003.0
    assert empty.stats == pb.DatasetStats(usage=empty.stats.usage)
    assert code is Code.NOT_FOUND
