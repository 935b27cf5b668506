"""The bearer token of a client, added to the metadata of each of its calls."""

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc.aio
from pydantic import SecretStr

_Go: TypeAlias = Callable[[grpc.aio.ClientCallDetails, Any], Any]


def bearer_interceptors(token: SecretStr) -> tuple[grpc.aio.ClientInterceptor, ...]:
    """Return what adds a token to calls of every kind; grpc.aio wants one object for each kind."""
    return _UnaryUnary(token), _UnaryStream(token), _StreamUnary(token), _StreamStream(token)


class _Bearer:
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    async def _call(self, go: _Go, details: grpc.aio.ClientCallDetails, request: Any) -> Any:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata.add("authorization", f"Bearer {self._token.get_secret_value()}")
        return await go(
            grpc.aio.ClientCallDetails(
                details.method,
                details.timeout,
                metadata,
                details.credentials,
                details.wait_for_ready,
            ),
            request,
        )


class _UnaryUnary(_Bearer, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: _Go, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request)


class _UnaryStream(_Bearer, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: _Go, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request)


class _StreamUnary(_Bearer, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self,
        continuation: _Go,
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return await self._call(continuation, client_call_details, request_iterator)


class _StreamStream(_Bearer, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self,
        continuation: _Go,
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return await self._call(continuation, client_call_details, request_iterator)
