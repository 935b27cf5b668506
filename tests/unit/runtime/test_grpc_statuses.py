"""Addresses, and what a failed call amounts to for its caller."""

import grpc
import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import MatrixError, NotFound, Rejected, Retryable
from services.runtime.grpc_channels import is_loopback, split_address
from services.runtime.grpc_errors import fitting
from services.runtime.grpc_statuses import explain, explained

Code = grpc.StatusCode
HERE = "host.test:50051"


@pytest.mark.parametrize(
    ("code", "details", "kind", "words"),
    [
        (Code.NOT_FOUND, "agent a7: not here", NotFound, "agent a7: not here"),
        (Code.INVALID_ARGUMENT, "size 0", Rejected, "size 0"),
        (Code.FAILED_PRECONDITION, "deleted", Rejected, "deleted"),
        (Code.ALREADY_EXISTS, "", Rejected, HERE),
        (Code.UNAVAILABLE, "the broker is away", Retryable, "the broker is away"),
        (Code.UNAVAILABLE, "failed to connect to all addresses", Retryable, "cannot be reached"),
        (Code.UNAVAILABLE, "last error: Socket closed", Retryable, "does it want TLS"),
        (Code.UNAVAILABLE, "SSL_ERROR_SSL: WRONG_VERSION", Retryable, "no secure connection"),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", Retryable, "more time"),
        (Code.UNAUTHENTICATED, "no token", Rejected, "does not know this caller: no token"),
        (Code.PERMISSION_DENIED, "needs 'operate'", Rejected, "needs 'operate'"),
        (Code.RESOURCE_EXHAUSTED, "message larger than max (9 vs. 4)", Rejected, "MAX_MESSAGE"),
        (Code.RESOURCE_EXHAUSTED, "read too slowly", Retryable, "read too slowly"),
        (Code.UNIMPLEMENTED, "Method not found!", Rejected, "serves no such call"),
        (Code.INTERNAL, "a bug: error 1a2b", Rejected, "error 1a2b"),
        (Code.UNKNOWN, "?", Retryable, "UNKNOWN"),
        (Code.CANCELLED, "", Retryable, "stopping"),
    ],
)
def test_a_status_is_one_of_our_errors_and_says_what_to_do(
    code: Code, details: str, kind: type[MatrixError], words: str
) -> None:
    failed = grpc.aio.AioRpcError(code, details=details)
    error = explain(failed, HERE)
    assert type(error) is kind
    assert words in str(error)
    with pytest.raises(kind), explained(HERE):
        raise failed


def test_every_status_has_an_error() -> None:
    for code in Code:
        assert isinstance(explain(grpc.aio.AioRpcError(code), HERE), MatrixError)


def test_an_address_is_a_host_and_a_port() -> None:
    assert split_address("host:1") == ("host", 1)
    assert split_address("dns:///my-svc.ns.svc:50051") == ("my-svc.ns.svc", 50051)
    assert split_address("[::1]:65535") == ("::1", 65535)
    for wrong in ("", "host", ":1", "host:0", "host:65536", "::1:1", "a/b:1", "host:1 ", "unix:/x"):
        with pytest.raises(Rejected, match="host:port"):
            split_address(wrong)


def test_credentials_in_an_address_are_not_shown() -> None:
    with pytest.raises(Rejected) as caught:
        split_address("https://user:planted@host:1")
    assert "planted" not in str(caught.value)


def test_only_this_machine_is_loopback() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", ""):
        assert not is_loopback(host)


@given(st.text(max_size=50), st.integers(0, 400))
def test_a_status_text_is_kept_or_cut_to_what_the_wire_takes(text: str, times: int) -> None:
    long = text * times
    cut = fitting(long)
    encoded = sum(1 if 32 <= b < 127 and b != 37 else 3 for b in cut.encode())
    assert encoded <= 4096 + len(" ...")
    kept = cut.removesuffix(" ...")
    assert cut == long or long.encode(errors="replace").decode().startswith(kept)
