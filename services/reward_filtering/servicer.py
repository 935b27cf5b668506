"""RewardFilteringService: messages in, verdicts and tables asked, messages out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing

from matrix.reward_filtering.v1 import service_pb2 as pb
from matrix.reward_filtering.v1.service_pb2_grpc import RewardFilteringServiceServicer

from services.events import SampleJudged, codec
from services.reward_filtering.card_facts import Format
from services.reward_filtering.export_stream import Exports, ExportSummary, FileChunk
from services.reward_filtering.queries import (
    DatasetStats,
    VerdictIndex,
    check_known,
    check_there,
)
from services.reward_filtering.report_stream import Reports, ReportSummary
from services.reward_filtering.sample_schema import REJECTED
from services.reward_filtering.shapes import find_shape
from services.reward_filtering.trial import Trial, Trials
from services.runtime.answering import Replicas, anywhere, rpc
from services.runtime.callers import Permission
from services.runtime.errors import Rejected
from services.runtime.grpc_handlers import Context
from services.runtime.pages import page_size
from services.runtime.protobuf import Codec, given_fields
from services.runtime.streams import Fanout
from services.runtime.tables import Table

NAME = "matrix.reward_filtering.v1.RewardFilteringService"
"""Full name of the service."""
_SERVICE = f"/{NAME}"
PERMISSIONS: dict[str, Permission] = {
    f"{_SERVICE}/JudgeSample": "operate",
    f"{_SERVICE}/GetSample": "read",
    f"{_SERVICE}/ListSamples": "read",
    f"{_SERVICE}/GetDatasetStats": "read",
    f"{_SERVICE}/ExportDataset": "read",
    f"{_SERVICE}/ReportDataset": "read",
    f"{_SERVICE}/WatchSamples": "read",
}
"""What a caller must be allowed to do, by full name of the method; model calls are paid for."""

_SAMPLE = codec.CODECS[SampleJudged.__name__]
_TRIAL = Codec(Trial, pb.JudgeSampleResponse)
_STATS = Codec(DatasetStats, pb.DatasetStats)
_CHUNK = Codec(FileChunk, pb.FileChunk)
_SUMMARY = Codec(ExportSummary, pb.ExportSummary)
_REPORT_SUMMARY = Codec(ReportSummary, pb.ReportSummary)
_FORMATS: dict[int, Format] = {
    pb.EXPORT_FORMAT_UNSPECIFIED: "parquet",
    pb.EXPORT_FORMAT_PARQUET: "parquet",
    pb.EXPORT_FORMAT_JSONL: "jsonl",
}
_PAGE, _MOST = 20, 100

_GET_SAMPLE = rpc(f"{_SERVICE}/GetSample", pb.GetSampleResponse)


class RewardFilteringServicer(RewardFilteringServiceServicer):
    """Answers for samples and datasets."""

    def __init__(
        self,
        verdicts: VerdictIndex,
        trials: Trials,
        exports: Exports,
        reports: Reports,
        open_table: Callable[[str], Table],
        declared: Collection[str],
        samples: Fanout[SampleJudged],
        peers: Replicas,
    ) -> None:
        """Set up.

        Args:
            verdicts: All verdicts.
            trials: Judges what is no candidate.
            exports: Makes frozen copies.
            reports: Makes pages.
            open_table: Returns a dataset's table, or that of its rejected candidates; asked only
                for names that are known, or that can be those of datasets.
            declared: Names of the datasets that were ordered, now.
            samples: What is judged from now on.
            peers: The other replicas.
        """
        self._verdicts = verdicts
        self._trials = trials
        self._exports = exports
        self._reports = reports
        self._open_table = open_table
        self._declared = declared
        self._samples = samples
        self._peers = peers

    async def JudgeSample(
        self, request: pb.JudgeSampleRequest, context: Context
    ) -> pb.JudgeSampleResponse:
        """Judge an instruction that is no candidate."""
        overrides = given_fields(request.filter)
        trial = await self._trials.judge(
            request.instruction, request.responses, request.kind, overrides
        )
        answer: pb.JudgeSampleResponse = _TRIAL.to_message(trial)
        return answer

    async def GetSample(
        self, request: pb.GetSampleRequest, context: Context
    ) -> pb.GetSampleResponse:
        """Return one verdict."""
        return await anywhere(self._sample(request), self._peers, _GET_SAMPLE, request, context)

    async def _sample(self, request: pb.GetSampleRequest) -> pb.GetSampleResponse:
        sample = await self._verdicts.sample(request.sample_id)
        return pb.GetSampleResponse(sample=_SAMPLE.to_message(sample))

    async def ListSamples(
        self, request: pb.ListSamplesRequest, context: Context
    ) -> pb.ListSamplesResponse:
        """Return a page of verdicts."""
        self._check_known(request.dataset)
        size = page_size(request.page_size, _PAGE, _MOST)
        samples, token = await self._verdicts.page(
            request.dataset, request.page_token, size, request.include_rejected
        )
        return pb.ListSamplesResponse(
            samples=map(_SAMPLE.to_message, samples), next_page_token=token
        )

    async def GetDatasetStats(
        self, request: pb.GetDatasetStatsRequest, context: Context
    ) -> pb.GetDatasetStatsResponse:
        """Count the verdicts of a dataset."""
        self._check_known(request.dataset)
        delivered = await asyncio.to_thread(self._open_table(request.dataset).count)
        stats = self._verdicts.stats(request.dataset, delivered)
        return pb.GetDatasetStatsResponse(stats=_STATS.to_message(stats))

    async def ExportDataset(
        self, request: pb.ExportDatasetRequest, context: Context
    ) -> AsyncIterator[pb.ExportDatasetResponse]:
        """Send a frozen copy of a dataset."""
        await self._check_there(request.dataset)
        if request.format not in _FORMATS:
            raise Rejected(f"export format {request.format} is unknown: give PARQUET or JSONL")
        table = self._open_table(request.dataset)
        stream = self._exports.stream(
            *(table, request.dataset, _FORMATS[request.format], find_shape(request.shape)),
            rejected=self._open_table(REJECTED + request.dataset),
            rollouts=request.rollouts or None,
        )
        async with aclosing(stream):
            async for part in stream:
                yield _exported(part)

    async def ReportDataset(
        self, request: pb.ReportDatasetRequest, context: Context
    ) -> AsyncIterator[pb.ReportDatasetResponse]:
        """Send a page on a dataset."""
        name = request.dataset
        await self._check_there(name)
        accepted, rejected = self._open_table(name), self._open_table(REJECTED + name)
        async with aclosing(self._reports.stream(accepted, rejected, name)) as stream:
            async for part in stream:
                if isinstance(part, bytes):
                    yield pb.ReportDatasetResponse(chunk=part)
                else:
                    yield pb.ReportDatasetResponse(summary=_REPORT_SUMMARY.to_message(part))

    async def WatchSamples(self, request: pb.WatchSamplesRequest, context: Context) -> None:
        """Send verdicts as they are made."""
        await self._samples.forward(
            context,
            lambda sample: (
                request.dataset in ("", sample.dataset)
                and (sample.accepted or request.include_rejected)
            ),
            lambda sample: pb.WatchSamplesResponse(sample=_SAMPLE.to_message(sample)),
        )

    def _check_known(self, dataset: str) -> None:
        check_known(dataset, self._declared, self._verdicts)

    async def _check_there(self, dataset: str) -> None:
        await check_there(dataset, self._declared, self._verdicts, self._open_table)


def _exported(part: FileChunk | ExportSummary) -> pb.ExportDatasetResponse:
    if isinstance(part, FileChunk):
        return pb.ExportDatasetResponse(chunk=_CHUNK.to_message(part))
    return pb.ExportDatasetResponse(summary=_SUMMARY.to_message(part))
