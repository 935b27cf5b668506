"""From the status that a server answered to our own errors: the caller's half of `grpc_errors`."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import grpc.aio

from services.runtime.errors import MatrixError, NotFound, Rejected, Retryable

_Code = grpc.StatusCode

VERDICTS = frozenset(
    {_Code.INVALID_ARGUMENT, _Code.FAILED_PRECONDITION, _Code.ALREADY_EXISTS, _Code.OUT_OF_RANGE}
)
"""Statuses by which a server says that it understood the request and will not do it."""

# gRPC's own words, for want of anything better: all of these are UNAVAILABLE.
_TLS = ("SSL", "Tls", "handshake", "ertificate", "Hostname Verification")
_CLOSED = ("Socket closed", "onnection reset", "Broken pipe", "EOF")
_UNREACHED = ("failed to connect", "Failed to connect", "resolving", "backends failing")


def explain(error: grpc.aio.AioRpcError, address: str) -> MatrixError:
    """Return the error of ours that a failed call amounts to, saying what to do about it."""
    code, details = error.code(), error.details() or ""
    if code is _Code.NOT_FOUND:
        return NotFound(details or f"{address}: not found")
    if code in VERDICTS:
        return Rejected(details or f"{address} refused the request ({code.name})")
    if code is _Code.UNAVAILABLE:
        return Retryable(_unavailable(details, address))
    if code is _Code.DEADLINE_EXCEEDED:
        return Retryable(f"{address} did not answer in time: give the call more time, or try later")
    if code is _Code.UNAUTHENTICATED:
        return Rejected(f"{address} does not know this caller: {details}")
    if code is _Code.PERMISSION_DENIED:
        return Rejected(f"{address}: {details}")
    if code is _Code.RESOURCE_EXHAUSTED and "larger than max" in details:
        return Rejected(
            f"{address}: {details}: send less at once, or raise MATRIX_GRPC__MAX_MESSAGE_BYTES on "
            "both sides"
        )
    if code is _Code.UNIMPLEMENTED:
        return Rejected(
            f"{address} serves no such call: is it the address of that service, in this version?"
        )
    if code is _Code.INTERNAL:
        return Rejected(f"{address}: {details}")
    if code is _Code.CANCELLED:
        return Retryable(f"{address} ended the call, perhaps because it is stopping: try again")
    return Retryable(f"{address}: {code.name}: {details}: try again")


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Raise NotFound, Rejected or Retryable where a call inside fails.

    Raises:
        NotFound: the server does not have it.
        Rejected: the same call will never succeed.
        Retryable: it may succeed later; also when the server cannot be reached.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise explain(error, address) from None


def _unavailable(details: str, address: str) -> str:
    if any(sign in details for sign in _TLS):
        return (
            f"{address}: no secure connection ({details}): check that both sides use TLS, the "
            "authorities (ca_file), and the name in the certificate"
        )
    if any(sign in details for sign in _CLOSED):
        return (
            f"{address} closed the connection: does it want TLS (ca_file) or a certificate of this "
            "client (cert_file), or was it just stopped?"
        )
    if any(sign in details for sign in _UNREACHED):
        return f"{address} cannot be reached: is the service running, and is this its address?"
    return f"{address}: {details}: try again"
