"""Which replica answers: this one if it has what is asked for, else one of the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from services.runtime.errors import NotFound, Retryable
from services.runtime.grpc_handlers import Context
from services.runtime.peers import Method, is_forwarded

A = TypeVar("A")

Owns = Callable[[str], bool]
"""Whether this replica is the owner of a key."""


def rpc(name: str, answer: type[A]) -> Method[A]:
    """Return the unary RPC of that full name; `answer` is the message that it returns."""
    parse: Callable[[bytes], A] = answer.FromString  # type: ignore[attr-defined]
    return lambda channel: channel.unary_unary(
        name, request_serializer=_serialised, response_deserializer=parse
    )


def _serialised(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


class Replicas(Protocol):
    """The other replicas of the service; see `peers.Peers`."""

    async def first(self, method: Method[A], request: Any, context: Context | None = None) -> A:
        """Return the first answer of another replica, or raise why there is none."""

    async def gather(
        self, method: Method[A], request: Any, context: Context | None = None
    ) -> Sequence[A]:
        """Return the answers of all other replicas, or raise why one has none."""

    async def survey(
        self, method: Method[A], request: Any, context: Context, seconds: float
    ) -> tuple[Sequence[A], dict[str, str]]:
        """Return the answers of the other replicas, and by address why others have none."""


async def anywhere(
    here: Awaitable[A], peers: Replicas, method: Method[A], request: Any, context: Context
) -> A:
    """Return this replica's answer or, when it does not have what is asked for, another one's.

    Raises:
        NotFound: no replica has it; the message is this one's.
        Retryable: a replica that may have it did not answer.
    """
    try:
        return await here
    except NotFound as error:
        if is_forwarded(context):
            raise
        try:
            return await peers.first(method, request, context)
        except NotFound:
            raise error from None


async def everywhere(
    here: A, peers: Replicas, method: Method[A], request: Any, context: Context
) -> list[A]:
    """Return the answers of all replicas to a listing, this one's first.

    Raises:
        Retryable: a replica did not answer, so that its items would be missing.
    """
    if is_forwarded(context):
        return [here]
    return [here, *await peers.gather(method, request, context)]


async def by_owner(
    here: Awaitable[A] | None,
    peers: Replicas,
    method: Method[A],
    request: Any,
    context: Context,
    known: str = "",
) -> A:
    """Return the answer of the one replica that owns the key.

    Args:
        here: This replica's, if it is the owner.
        peers: The other replicas.
        method: Which RPC.
        request: Its request.
        context: Of the call.
        known: What the key names, if this replica knows that it exists or may be made: then an
            owner that is not there is a matter of time.

    Raises:
        NotFound: the owner does not have what is asked for.
        Retryable: the owner did not answer, or there is none at the moment.
    """
    if here is not None:
        return await here
    if is_forwarded(context):
        raise NotFound("not known here: another replica is its owner")
    try:
        return await peers.first(method, request, context)
    except NotFound:
        if not known:
            raise
        raise Retryable(f"{known} has no owner at the moment: try again") from None
