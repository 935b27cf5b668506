"""Authentication and permissions of callers: one interceptor for all RPCs.

A caller shows a bearer token (metadata `authorization: Bearer ...`) or, under mutual TLS, a client
certificate; a token, when there is one, decides. Health checks need neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import structlog

from services.runtime.callers import Caller, Callers, Permission
from services.runtime.grpc_handlers import Context, Handler, Next, inside

_log = structlog.get_logger(__name__)

_OPEN = "/grpc.health.v1.Health/"
_REFLECTION = "/grpc.reflection."


class Authentication(grpc.aio.ServerInterceptor):
    """Lets calls through whose caller is known and may make them."""

    def __init__(self, callers: Callers, permissions: Mapping[str, Permission]) -> None:
        """Set up.

        Args:
            callers: who may call.
            permissions: what each RPC (`/package.Service/Method`) needs; others need `operate`.
        """
        self._callers = callers
        self._permissions = dict(permissions)

    async def intercept_service(
        self, continuation: Next, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return the handler behind its check."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_OPEN):
            return handler
        needed = self._needed(method)

        @asynccontextmanager
        async def allowed(context: Context) -> AsyncIterator[None]:
            await self._check(context, method, needed)
            yield

        return inside(handler, allowed)

    def _needed(self, method: str) -> Permission:
        default: Permission = "read" if method.startswith(_REFLECTION) else "operate"
        return self._permissions.get(method, default)

    async def _check(self, context: Context, method: str, needed: Permission) -> None:
        caller, problem = self._caller(context)
        if caller is None:
            _log.warning("unknown caller", method=method, peer=context.peer(), reason=problem)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, problem)
        elif not caller.may(needed):
            _log.warning("forbidden", method=method, caller=caller.name, needed=needed)
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{method} needs the permission {needed!r}, which caller {caller.name!r} lacks: "
                "add it in the callers file of the service",
            )

    def _caller(self, context: Context) -> tuple[Caller | None, str]:
        shown = [
            value if isinstance(value, str) else ""
            for key, value in context.invocation_metadata() or ()
            if key == "authorization"
        ]
        if not shown:
            caller = self._callers.by_certificate(_names(context))
            return caller, "a bearer token or a known client certificate is needed, none was shown"
        scheme, _, token = shown[0].partition(" ")
        if len(shown) > 1 or scheme.lower() != "bearer" or not token:
            return None, "the authorization metadata must be one value of the form 'Bearer TOKEN'"
        return self._callers.by_token(token), "the bearer token is not one of a known caller"


def _names(context: Context) -> list[str]:
    identity = context.auth_context()
    return [
        name.decode(errors="replace")
        for key in ("x509_common_name", "x509_subject_alternative_name")
        for name in identity.get(key, ())
    ]
