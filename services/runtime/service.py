"""The life of a service process: wait for what it needs, serve, drain, leave."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import disable_created_metrics

from services.runtime import event_loop
from services.runtime.backbone import Backbone
from services.runtime.callers import Permission
from services.runtime.collector import calm_collector
from services.runtime.errors import MatrixError
from services.runtime.fencing import Fence
from services.runtime.grpc_metrics import CallMetrics
from services.runtime.grpc_server import GrpcServer, Served
from services.runtime.grpc_spans import ServedSpans
from services.runtime.kafka_tail import KafkaTail
from services.runtime.logs import configure_service_logs
from services.runtime.metrics_server import MetricsServer
from services.runtime.ownership import Keeper, Ownership, Work
from services.runtime.ports import Delivery
from services.runtime.process_metrics import tell_process, watch_loop
from services.runtime.settings import Settings, read_settings
from services.runtime.streams import Fanout
from services.runtime.telemetry import PERMISSIONS as TELEMETRY_PERMISSIONS
from services.runtime.telemetry import TelemetryServicer, telemetry
from services.runtime.tracing import traced
from services.runtime.worker import Route

_log = structlog.get_logger(__name__)
_LEAVE_SECONDS = 5.0
"""Of the grace, kept for committing and leaving."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A group that the service is a member of, and what it does there."""

    ownership: Ownership
    work: Work
    keeper: Keeper


@dataclass(frozen=True, slots=True)
class Composed:
    """A service, put together."""

    memberships: Sequence[Membership]
    served: Sequence[Served]
    permissions: Mapping[str, Permission]
    topics: Sequence[str]
    """All that it reads or writes."""
    broadcasts: Sequence[Route] = ()
    """Topics that every replica reads whole, before it joins any group."""
    feeds: Sequence[Route] = ()
    """Topics of which only the news are wanted, for those who watch."""
    streams: Sequence[Fanout[Any]] = ()
    """What callers watch; ended when the service drains, or it would wait for them."""
    background: Sequence[Callable[[], Awaitable[None]]] = ()
    """What runs beside, for ever."""


Compose = Callable[[Backbone], Composed]


def main(service: str, compose: Compose) -> int:
    """Run a service until SIGTERM or SIGINT; return the exit code of the process."""
    calm_collector()
    try:
        settings = read_settings()
        lines = configure_service_logs(service, settings.log_format).lines
        event_loop.run(run(service, settings, compose, lines))
    except MatrixError as error:
        _log.error("ends", reason=str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def run(
    service: str, settings: Settings, compose: Compose, lines: Counter[str] | None = None
) -> None:
    """Serve until told to stop, then drain; `lines` are those that were logged, by level.

    Raises:
        MatrixError: the service cannot go on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    backbone = Backbone(service, settings)
    if lines is not None:
        backbone.metrics.process.log_lines = lines
    with traced(settings.tracing, service, backbone.replica):
        await _serve(backbone, compose, stop)


async def _serve(backbone: Backbone, compose: Compose, stop: asyncio.Event) -> None:
    service, settings = backbone.service, backbone.settings
    composed = compose(backbone)
    server = GrpcServer(
        settings.grpc,
        [*composed.served, telemetry(_telling(backbone))],
        {**composed.permissions, **TELEMETRY_PERMISSIONS},
        replica=backbone.replica,
        interceptors=[ServedSpans(), CallMetrics(backbone.metrics.grpc)],
    )
    telling = MetricsServer(settings.metrics, backbone.metrics)
    backbone.metrics.process.ready = lambda: server.ready
    tell_process(backbone.metrics, settings)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    await telling.start()
    await server.start()
    life = asyncio.create_task(_live(backbone, composed, server), name=service)
    stopping = asyncio.create_task(stop.wait())
    watching = asyncio.create_task(watch_loop(backbone.metrics), name="loop")
    try:
        await asyncio.wait({life, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()
        await _drain(composed, server, settings.grpc.grace_seconds)
    finally:
        stopping.cancel()
        watching.cancel()
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        await server.stop(0)
        await telling.stop()
        await backbone.close()
    _log.info("left")


def _telling(backbone: Backbone) -> TelemetryServicer:
    return TelemetryServicer(
        backbone.service,
        backbone.replica,
        backbone.metrics,
        backbone.peers,
        backbone.settings.grpc.max_message_bytes,
    )


async def _live(backbone: Backbone, composed: Composed, server: GrpcServer) -> None:
    """Start everything in order, and be ready until cancelled; raises what ends any of it."""
    await backbone.start(composed.topics)
    tail = _tail(backbone, composed.broadcasts)
    feed = _tail(backbone, composed.feeds, from_now=True)
    tails = [each for each in (tail, feed) if each is not None]
    backbone.followed.tail = tail
    tasks: list[asyncio.Task[None]] = []
    try:
        for each in tails:
            await each.start()
        if tail is not None:
            await tail.caught_up()
        running = [m.ownership.run(m.work, m.keeper) for m in composed.memberships]
        running += [_forever(work) for work in composed.background]
        running += [each.ended() for each in tails]
        tasks = [asyncio.create_task(each) for each in running]
        tasks.append(asyncio.create_task(_ready(composed, server)))
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in tails:
            await each.close()


def _tail(backbone: Backbone, routes: Sequence[Route], from_now: bool = False) -> KafkaTail | None:
    if not routes:
        return None
    topics = list(dict.fromkeys(route.topic for route in routes))

    fence = Fence() if from_now else backbone.followed.fence

    async def handle(delivery: Delivery) -> None:
        fence.note(delivery)
        if not fence.valid(delivery):
            return
        for route in routes:
            if route.topic == delivery.topic:
                await route.handle(delivery)

    name = f"matrix-{backbone.service}-follower"
    return KafkaTail(backbone.settings.kafka, name, topics, handle, from_now)


async def _ready(composed: Composed, server: GrpcServer) -> None:
    """Be ready when the groups have taken us in; a caller finds owners then."""
    await asyncio.gather(*(each.ownership.settled() for each in composed.memberships))
    server.set_ready(True)
    _log.info("ready", address=server.address)
    await asyncio.Event().wait()


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _drain(composed: Composed, server: GrpcServer, grace_seconds: float) -> None:
    """Take nothing more, and finish messages and calls that are in flight within the grace."""
    grace = max(0.0, grace_seconds - _LEAVE_SECONDS)
    _log.info("drains", grace_seconds=grace_seconds)
    server.set_ready(False)
    for each in composed.memberships:
        each.ownership.member.drain()
    for stream in composed.streams:
        stream.close()
    with contextlib.suppress(TimeoutError, MatrixError):
        async with asyncio.timeout(grace):
            await asyncio.gather(
                server.stop(grace), *(each.work.finish() for each in composed.memberships)
            )
