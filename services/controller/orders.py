"""The platform's side of a `Dataset` object: orders, by gRPC."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from matrix.instruction_generation.v1 import service_pb2 as pb
from matrix.instruction_generation.v1.service_pb2_grpc import InstructionGenerationServiceStub

from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.grpc_channels import Access, open_channel
from services.runtime.grpc_statuses import VERDICTS, explain

_SECONDS = 30.0
"""Patience with one call."""
_Code = grpc.StatusCode


class Orders:
    """Orders of one platform. All methods may raise Retryable: no answer now, or no society yet."""

    def __init__(self, address: str, access: Access) -> None:
        """Set up; connects at the first call.

        Args:
            address: of instruction_generation, `host:port` or `dns:///host:port`.
            access: certificates and token to show.

        Raises:
            Rejected: the address is none, or the access cannot be used.
        """
        self._address = f"instruction_generation at {address}"
        self._channel = open_channel(address, access)
        self._stub: Any = InstructionGenerationServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Disconnect."""
        await self._channel.close()

    async def place(self, request: pb.CreateDatasetRequest, pause: bool) -> pb.Dataset:
        """Order a dataset, unless that is done, and let it rest or go on; return it.

        Raises:
            Rejected: the platform refuses the order; NotFound: it has no such kind.
        """
        answer = await self._ask(self._stub.CreateDataset, request)
        return await self.settle(answer.dataset, pause)

    async def settle(self, dataset: pb.Dataset, pause: bool) -> pb.Dataset:
        """Pause or resume a dataset that is not as it should be; return it.

        Raises:
            NotFound: it was ended meanwhile.
        """
        if dataset.order.paused == pause:
            return dataset
        name = dataset.order.dataset
        if pause:
            paused = await self._ask(self._stub.PauseDataset, pb.PauseDatasetRequest(name=name))
            return paused.dataset  # type: ignore[no-any-return]
        resumed = await self._ask(self._stub.ResumeDataset, pb.ResumeDatasetRequest(name=name))
        return resumed.dataset  # type: ignore[no-any-return]

    async def find(self, name: str) -> pb.Dataset:
        """Return a dataset.

        Raises:
            NotFound: there is none of that name, or it was ended.
        """
        answer = await self._ask(self._stub.GetDataset, pb.GetDatasetRequest(name=name))
        return answer.dataset  # type: ignore[no-any-return]

    async def is_placed(self, request: pb.CreateDatasetRequest) -> bool:
        """Return whether the platform has this very order, and not another one of its name."""
        try:
            await self.find(request.name)
            # It is there, so that this creates nothing, and is refused if it is another's.
            await self._ask(self._stub.CreateDataset, request)
        except (NotFound, Rejected):
            return False
        return True

    async def end(self, name: str) -> None:
        """End an order for good; one that is ended stays so."""
        try:
            await self._ask(self._stub.DeleteDataset, pb.DeleteDatasetRequest(name=name))
        except NotFound:
            return

    async def pause(self, name: str) -> None:
        """Stop an order for now, if there is such a one."""
        try:
            await self._ask(self._stub.PauseDataset, pb.PauseDatasetRequest(name=name))
        except NotFound:
            return

    async def _ask(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        try:
            return await method(request, timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            explained = explain(error, self._address)
            if error.code() is _Code.FAILED_PRECONDITION:
                raise Retryable(str(explained)) from None  # Somebody else has to do something.
            if error.code() in VERDICTS or error.code() is _Code.NOT_FOUND:
                raise explained from None
            # A token that is not known yet, or a version that comes: no fault of the order.
            raise Retryable(str(explained)) from None
