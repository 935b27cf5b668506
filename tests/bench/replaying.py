"""The calls of a model, as a proxy between its server and its callers saw them; and a bare client.

A platform and a bare client are compared on the same prompts: what the platform asks is recorded on
its way, and asked again by a client that does nothing else. Both go through the proxy, so that
neither pays for it alone and both are measured by the same clock.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

_COUNTED = ("/v1/chat/completions", "/v1/completions")
_LARGEST_BODY = 64 * 1024**2
_CONNECTIONS = aiohttp.ClientTimeout(total=None)


@dataclass(slots=True)
class Call:
    """A call that generates; times are `time.monotonic` in seconds."""

    path: str
    body: str
    began: float
    ended: float | None = None
    """None while it is under way."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that the server had in its cache, if it tells."""
    status: int = 0
    """0 until it is answered, and for ever if its caller went away before."""
    cpu_seconds: float = 0.0
    """Of what answers it, when the call began; of the proxy's process unless told otherwise."""

    def share(self, start: float, end: float) -> float:
        """Return which part of the call's time lies between two moments, 0 to 1."""
        if self.ended is None:
            return 0.0
        within = min(self.ended, end) - max(self.began, start)
        return max(0.0, within) / max(self.ended - self.began, 1e-9)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was done between the beginnings of two calls; others count by their time in between."""

    seconds: float
    calls: float
    prompt_tokens: float
    completion_tokens: float
    cached_tokens: float
    in_flight: float
    """Calls under way, averaged over the time."""
    cpu_seconds: float
    """As those of calls."""

    @property
    def tokens_per_second(self) -> float:
        """Prompt and generated tokens."""
        return (self.prompt_tokens + self.completion_tokens) / self.seconds

    @property
    def generated_per_second(self) -> float:
        """Generated tokens alone."""
        return self.completion_tokens / self.seconds

    @property
    def tokens_per_cpu_second(self) -> float:
        """Prompt and generated tokens, by processor time: what is left on a shared machine."""
        return (self.prompt_tokens + self.completion_tokens) / self.cpu_seconds


def throughput(calls: Sequence[Call], first: int = 0, last: int = -1) -> Throughput:
    """Return what was done from the beginning of one call, by its place, to that of another.

    Raises:
        ValueError: there are no two such calls, one after the other.
    """
    if not calls or calls[last].began <= calls[first].began:
        raise ValueError(f"no time between two of {len(calls)} calls")
    start, end = calls[first].began, calls[last].began
    found = [(call, call.share(start, end)) for call in calls]
    busy = sum(share * (call.ended - call.began) for call, share in found if call.ended is not None)
    return Throughput(
        seconds=end - start,
        calls=sum(share for _, share in found),
        prompt_tokens=sum(call.prompt_tokens * share for call, share in found),
        completion_tokens=sum(call.completion_tokens * share for call, share in found),
        cached_tokens=sum(call.cached_tokens * share for call, share in found),
        in_flight=busy / (end - start),
        cpu_seconds=calls[last].cpu_seconds - calls[first].cpu_seconds,
    )


@dataclass(slots=True)
class RecordingProxy:
    """Hands calls on to a server, and notes those that generate."""

    url: str
    """Its own address."""
    calls: list[Call] = field(default_factory=list)
    """In the order in which they came."""

    def take(self) -> list[Call]:
        """Return what was recorded, and begin anew."""
        taken, self.calls = self.calls, []
        return taken


@asynccontextmanager
async def recording(
    server: str, cpu_seconds: Callable[[], float] = time.process_time
) -> AsyncIterator[RecordingProxy]:
    """Put a proxy before the server at that address; `cpu_seconds` tells what it has used up."""
    proxy = RecordingProxy("")
    # vLLM closes a connection that was idle for 5 s, and may do so just when it is used once more.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
    async with aiohttp.ClientSession(connector=connector, timeout=_CONNECTIONS) as session:

        async def handed_on(request: web.Request) -> web.Response:
            body = await request.read()
            call = Call(request.path, body.decode(errors="replace"), time.monotonic())
            call.cpu_seconds = cpu_seconds()
            if request.path in _COUNTED:
                proxy.calls.append(call)
            headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
            try:
                async with session.request(
                    request.method, server + request.path_qs, data=body or None, headers=headers
                ) as answer:
                    content = await answer.read()
                call.status = answer.status
            finally:
                call.ended = time.monotonic()
            if request.path in _COUNTED and answer.status == 200:
                _count(call, content)
            return web.Response(
                status=answer.status,
                body=content,
                headers={"Content-Type": answer.headers.get("Content-Type", "text/plain")},
            )

        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", handed_on)
        # A caller that goes away is to free its slot of the server behind.
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=1
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            await runner.cleanup()


def _count(call: Call, content: bytes) -> None:
    usage = json.loads(content)["usage"]
    call.prompt_tokens = usage["prompt_tokens"]
    call.completion_tokens = usage["completion_tokens"]
    call.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0


async def replay(url: str, calls: Sequence[Call], in_flight: int) -> None:
    """Ask the same again in the same order, so many at once: the bare client.

    Raises:
        ExceptionGroup: the server does not answer a call, or with no success.
    """
    waiting = iter(calls)

    async def hand(session: aiohttp.ClientSession) -> None:
        for call in waiting:
            async with session.post(
                url + call.path,
                data=call.body.encode(),
                headers={"Content-Type": "application/json"},
                raise_for_status=True,
            ) as answer:
                await answer.read()

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=_CONNECTIONS) as session,
        asyncio.TaskGroup() as hands,
    ):
        for _ in range(in_flight):
            hands.create_task(hand(session))
