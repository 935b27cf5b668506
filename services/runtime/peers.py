"""The other replicas of a service: whom to ask for what this replica does not own.

A replica finds itself among its peers (a DNS name resolves to all of them) by a random id that it
sends along: `OwnCalls` of its own server refuses such a call, and the address is left out from
then on.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio

from services.runtime.errors import MatrixError, NotFound, Rejected, Retryable
from services.runtime.grpc_channels import Access
from services.runtime.grpc_handlers import Context, Handler, Next, inside
from services.runtime.grpc_statuses import VERDICTS, explain
from services.runtime.peer_addresses import PeerChannels
from services.runtime.settings import GrpcSettings

_FORWARDED = "matrix-forwarded"
_FROM = "matrix-from"
_OWN = "matrix-own-call"

A = TypeVar("A")
Method: TypeAlias = "Callable[[grpc.aio.Channel], grpc.aio.UnaryUnaryMultiCallable[Any, A]]"
"""Which RPC to call: `lambda channel: AgentStateStub(channel).GetAgent`."""


def new_replica() -> str:
    """Return a random id for this replica, for its server and its peers."""
    return secrets.token_hex(8)


def is_forwarded(context: Context) -> bool:
    """Return whether a call comes from another replica, and must not be passed on again."""
    return any(key == _FORWARDED for key, _ in context.invocation_metadata() or ())


class OwnCalls(grpc.aio.ServerInterceptor):
    """Refuses calls of a replica to itself, before anything is done for them."""

    def __init__(self, replica: str) -> None:
        self._replica = replica

    async def intercept_service(
        self, continuation: Next, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return the handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        metadata = handler_call_details.invocation_metadata
        if handler is None or not self._replica or (_FROM, self._replica) not in metadata:
            return handler

        @asynccontextmanager
        async def refused(context: Context) -> AsyncIterator[None]:
            await context.abort(
                grpc.StatusCode.ABORTED, "a replica called itself", ((_OWN, self._replica),)
            )
            yield

        return inside(handler, refused)


class _OwnCall(Exception):
    """The address asked is this replica's own."""


class Peers:
    """Asks all other replicas at once."""

    def __init__(self, settings: GrpcSettings, replica: str) -> None:
        """Set up; nothing is connected yet.

        Args:
            settings: the replicas (`peers`), certificates, token, and the deadline of calls whose
                caller set none.
            replica: id of this replica, as its server has it.

        Raises:
            Rejected: an address is none, a file cannot be read, or a token would travel in the
                clear.
        """
        self._replica = replica
        self._names = settings.peers
        self._default_deadline = settings.default_deadline_seconds
        self._channels = PeerChannels(settings.peers, Access.of(settings))

    async def first(self, method: Method[A], request: Any, context: Context | None = None) -> A:
        """Return the first answer; the other calls are cancelled.

        Args:
            method: which RPC.
            request: its request.
            context: of the call that this is done for: its deadline is kept.

        Raises:
            NotFound: every other replica says so, or there is none.
            Rejected: a replica refused the request, and none answered.
            Retryable: some replica did not answer, and none of those that did has it.
        """
        found = _Verdicts()
        async with self._asking(method, request, context) as tasks:
            for answer in asyncio.as_completed(tasks):
                with found:
                    return await answer
        raise found.conclusion()

    async def gather(
        self, method: Method[A], request: Any, context: Context | None = None
    ) -> list[A]:
        """Return the answers of all other replicas, in the order of their addresses.

        Those that answer NOT_FOUND have nothing to add.

        Raises:
            Rejected: a replica refused the request.
            Retryable: some replica did not answer.
        """
        found = _Verdicts()
        answers: list[A] = []
        async with self._asking(method, request, context) as tasks:
            for answer in tasks:
                with found:
                    answers.append(await answer)
        if found.refused or found.silent:
            raise found.conclusion()
        return answers

    async def survey(
        self, method: Method[A], request: Any, context: Context, seconds: float
    ) -> tuple[list[A], dict[str, str]]:
        """Return the answers of those other replicas that give one, and what became of the rest.

        Args:
            method: which RPC.
            request: its request.
            context: of the call that this is done for: its deadline is kept.
            seconds: how long a replica is waited for, at most.

        Returns:
            The answers in the order of the addresses, and by address why there is none.
        """
        answers: list[A] = []
        silent: dict[str, str] = {}
        try:
            async with self._asking(method, request, context, seconds) as tasks:
                for task in tasks:
                    try:
                        answers.append(await task)
                    except _OwnCall:
                        continue
                    except MatrixError as error:
                        silent[task.get_name()] = str(error)
        except Retryable as error:  # A name does not resolve: nobody could be asked.
            silent[self._names] = str(error)
        return answers, silent

    async def close(self) -> None:
        """Close all connections."""
        await self._channels.close()

    @asynccontextmanager
    async def _asking(
        self,
        method: Method[A],
        request: Any,
        context: Context | None,
        most: float = math.inf,
    ) -> AsyncIterator[list[asyncio.Task[A]]]:
        left = None if context is None else context.time_remaining()
        # The rest is for telling the caller who did not answer, before its own deadline.
        timeout = min(most, 0.9 * (self._default_deadline if left is None else left))
        async with self._channels.opened() as channels:
            tasks = [
                asyncio.create_task(
                    self._ask(address, method(channel), request, timeout), name=address
                )
                for address, channel in sorted(channels.items())
            ]
            try:
                yield tasks
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(
        self,
        address: str,
        call: grpc.aio.UnaryUnaryMultiCallable[Any, A],
        request: Any,
        timeout: float,  # noqa: ASYNC109 - it travels to the other side
    ) -> A:
        metadata = grpc.aio.Metadata((_FORWARDED, "1"), (_FROM, self._replica))
        try:
            return await call(request, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            if (error.trailing_metadata() or {}).get(_OWN) == self._replica:
                self._channels.leave_out(address)
                raise _OwnCall from None
            explained = explain(error, address)
            if error.code() is grpc.StatusCode.NOT_FOUND or error.code() in VERDICTS:
                raise explained from None
            # Also when this replica may not ask: that is no fault of its caller.
            raise Retryable(str(explained)) from None


class _Verdicts:
    """Collects what replicas said that did not have the answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.missing: list[NotFound] = []
        self.refused: list[Rejected] = []
        self.silent: list[Retryable] = []

    def __enter__(self) -> None:
        self.asked += 1

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, _OwnCall):
            self.asked -= 1
        elif isinstance(error, NotFound):
            self.missing.append(error)
        elif isinstance(error, Rejected):
            self.refused.append(error)
        elif isinstance(error, Retryable):
            self.silent.append(error)
        else:
            return False
        return True

    def conclusion(self) -> MatrixError:
        """Return what follows from no replica having answered."""
        if self.refused:
            return self.refused[0]
        if self.silent:
            reasons = "; ".join(sorted(str(error) for error in self.silent))
            return Retryable(
                f"{len(self.silent)} of {self.asked} other replicas did not answer ({reasons})"
            )
        return self.missing[0] if self.missing else NotFound("there is no other replica to ask")
