"""InstructionGenerationService: messages in, orders changed and queries asked, messages out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from matrix.instruction_generation.v1 import service_pb2 as pb
from matrix.instruction_generation.v1.service_pb2_grpc import InstructionGenerationServiceServicer

from services.events import DatasetDeclared
from services.instruction_generation.application import Draft
from services.instruction_generation.consumer import GenerationConsumer
from services.instruction_generation.knobs import Knobs
from services.instruction_generation.orders import CHUNK, deleted, ordered, paused
from services.instruction_generation.queries import Dataset, DatasetQueries, Previews
from services.kinds import Kind
from services.runtime.answering import Owns, Replicas, anywhere, by_owner, rpc
from services.runtime.callers import Permission
from services.runtime.grpc_handlers import Context
from services.runtime.pages import page_of, page_size, page_start
from services.runtime.peers import Method
from services.runtime.ports import Clock
from services.runtime.protobuf import Codec, given_fields

NAME = "matrix.instruction_generation.v1.InstructionGenerationService"
"""Full name of the service."""
_SERVICE = f"/{NAME}"
PERMISSIONS: dict[str, Permission] = {
    f"{_SERVICE}/CreateDataset": "operate",
    f"{_SERVICE}/GetDataset": "read",
    f"{_SERVICE}/ListDatasets": "read",
    f"{_SERVICE}/PauseDataset": "operate",
    f"{_SERVICE}/ResumeDataset": "operate",
    f"{_SERVICE}/DeleteDataset": "operate",
    f"{_SERVICE}/PreviewInstruction": "operate",
}
"""What a caller must be allowed to do, by full name of the method; model calls are paid for."""

_DATASET = Codec(Dataset, pb.Dataset)
_DRAFT = Codec(Draft, pb.PreviewInstructionResponse)
_PAGE, _MOST = 100, 1000

A = TypeVar("A")
Named = pb.PauseDatasetRequest | pb.ResumeDatasetRequest | pb.DeleteDatasetRequest

_CREATE = rpc(f"{_SERVICE}/CreateDataset", pb.CreateDatasetResponse)
_GET = rpc(f"{_SERVICE}/GetDataset", pb.GetDatasetResponse)
_PAUSE = rpc(f"{_SERVICE}/PauseDataset", pb.PauseDatasetResponse)
_RESUME = rpc(f"{_SERVICE}/ResumeDataset", pb.ResumeDatasetResponse)
_DELETE = rpc(f"{_SERVICE}/DeleteDataset", pb.DeleteDatasetResponse)
_PREVIEW = rpc(f"{_SERVICE}/PreviewInstruction", pb.PreviewInstructionResponse)


class InstructionGenerationServicer(InstructionGenerationServiceServicer):
    """Answers for datasets; the owner of a dataset changes it."""

    def __init__(
        self,
        queries: DatasetQueries,
        previews: Previews,
        consumer: GenerationConsumer,
        kinds: dict[str, Kind],
        regions: Callable[[], Mapping[str, int]],
        owns: Owns,
        peers: Replicas,
        clock: Clock,
        society_seconds: float = 5.0,
    ) -> None:
        """Set up.

        Args:
            queries: The datasets.
            previews: Instructions that nothing is kept of.
            consumer: Changes the orders of datasets that are owned.
            kinds: The kinds of datasets.
            regions: Returns the agents by region of the society; none before an import.
            owns: Whether a dataset's order is changed here.
            peers: The other replicas.
            clock: Of new orders.
            society_seconds: How long an order waits for the society that it draws on.
        """
        self._society_seconds = society_seconds
        self._queries = queries
        self._previews = previews
        self._consumer = consumer
        self._kinds = kinds
        self._regions = regions
        self._owns = owns
        self._peers = peers
        self._clock = clock

    async def CreateDataset(
        self, request: pb.CreateDatasetRequest, context: Context
    ) -> pb.CreateDatasetResponse:
        """Order a dataset."""
        with contextlib.suppress(TimeoutError):
            # Who orders just after an import is ahead of what this replica has read.
            async with asyncio.timeout(self._society_seconds):
                while not self._regions():  # noqa: ASYNC110 - said by no event of ours
                    await asyncio.sleep(0.05)
        order = self._order(request)
        here = self._create(order) if self._owns(order.dataset) else None
        known = f"dataset {order.dataset!r}"
        return await by_owner(here, self._peers, _CREATE, request, context, known)

    def _order(self, request: pb.CreateDatasetRequest) -> DatasetDeclared:
        return ordered(
            self._kinds,
            request.name,
            request.kind,
            CHUNK if request.continuous else request.size,
            request.requirement,
            self._regions(),
            request.seed,
            self._clock(),
            given_fields(request.filter),
            request.weight if request.HasField("weight") else 1.0,
            request.continuous,
            Knobs(
                tuple(request.categories),
                tuple(request.complexities),
                tuple(request.styles),
                request.balance,
                request.steer,
            ),
        )

    async def _create(self, order: DatasetDeclared) -> pb.CreateDatasetResponse:
        await self._consumer.create(order)
        return pb.CreateDatasetResponse(dataset=self._shown(order.dataset))

    async def GetDataset(
        self, request: pb.GetDatasetRequest, context: Context
    ) -> pb.GetDatasetResponse:
        """Return one dataset."""
        return await anywhere(self._dataset(request), self._peers, _GET, request, context)

    async def _dataset(self, request: pb.GetDatasetRequest) -> pb.GetDatasetResponse:
        return pb.GetDatasetResponse(dataset=self._shown(request.name))

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, context: Context
    ) -> pb.ListDatasetsResponse:
        """Return a page of datasets."""
        size = page_size(request.page_size, _PAGE, _MOST)
        found = self._queries.datasets(page_start("datasets", request.page_token), size + 1)
        page, token = page_of("datasets", [found], lambda each: each.order.dataset, size)
        return pb.ListDatasetsResponse(
            datasets=map(_DATASET.to_message, page), next_page_token=token
        )

    async def PauseDataset(
        self, request: pb.PauseDatasetRequest, context: Context
    ) -> pb.PauseDatasetResponse:
        """Stop a dataset for now."""

        async def here() -> pb.PauseDatasetResponse:
            await self._consumer.change(request.name, lambda order: paused(order, True))
            return pb.PauseDatasetResponse(dataset=self._shown(request.name))

        return await self._by_owner(here, _PAUSE, request, context)

    async def ResumeDataset(
        self, request: pb.ResumeDatasetRequest, context: Context
    ) -> pb.ResumeDatasetResponse:
        """Go on with a dataset."""

        async def here() -> pb.ResumeDatasetResponse:
            await self._consumer.change(request.name, lambda order: paused(order, False))
            return pb.ResumeDatasetResponse(dataset=self._shown(request.name))

        return await self._by_owner(here, _RESUME, request, context)

    async def DeleteDataset(
        self, request: pb.DeleteDatasetRequest, context: Context
    ) -> pb.DeleteDatasetResponse:
        """End a dataset."""

        async def here() -> pb.DeleteDatasetResponse:
            await self._consumer.change(request.name, deleted)
            return pb.DeleteDatasetResponse()

        return await self._by_owner(here, _DELETE, request, context)

    async def PreviewInstruction(
        self, request: pb.PreviewInstructionRequest, context: Context
    ) -> pb.PreviewInstructionResponse:
        """Make one instruction, and keep nothing of it."""
        return await anywhere(self._preview(request), self._peers, _PREVIEW, request, context)

    async def _preview(
        self, request: pb.PreviewInstructionRequest
    ) -> pb.PreviewInstructionResponse:
        draft = await self._previews.preview(
            request.scenario_id, request.agent_id, request.kind, request.requirement, request.seed
        )
        answer: pb.PreviewInstructionResponse = _DRAFT.to_message(draft)
        return answer

    async def _by_owner(
        self, here: Callable[[], Awaitable[A]], method: Method[A], request: Named, context: Context
    ) -> A:
        name = request.name
        known = f"dataset {name!r}" if name in self._queries else ""
        own = here() if self._owns(name) else None
        return await by_owner(own, self._peers, method, request, context, known)

    def _shown(self, name: str) -> pb.Dataset:
        dataset: pb.Dataset = _DATASET.to_message(self._queries.dataset(name))
        return dataset
