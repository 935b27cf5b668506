"""`matrix top`: the vital figures of a platform that runs, in the terminal."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from matrix.telemetry.v1 import telemetry_pb2 as pb
from matrix.telemetry.v1.telemetry_pb2_grpc import TelemetryServiceStub
from rich.live import Live

from services.cli.console import output
from services.cli.plain import print_json
from services.cli.server import CaOption, JsonOption, Server, ServerOption, connected
from services.cli.top_figures import HISTOGRAMS, Figures, figures
from services.cli.top_looks import Look, Replica, Silent, parsed
from services.cli.top_view import view
from services.runtime.errors import MatrixError, NotFound, Rejected, Retryable

_ANSWER_SECONDS = 5.0
"""Patience with a service; one that waits in vain for a replica of its own answers sooner."""
_WINDOW_SECONDS = 30.0
"""What rates are measured over, once there are looks from so long ago."""


def top(
    interval: Annotated[
        float, typer.Option(min=0.2, metavar="SECONDS", help="Pause between two looks.")
    ] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, show the figures, and end: for scripts.")
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Show how a platform that runs is doing: services, datasets, society, models, store.

    Each service is asked for the metrics of all its replicas over its own address, which takes a
    permission to read, and neither a Prometheus nor another port. Rates are those of the last 30
    seconds, or since the first look. Ctrl-C ends it.

    What to look for:

    - SERVICES: all are ready, the lag stays small, nothing is dead (`matrix dead-letters list`).

    - DATASETS: samples come (/min), and enough candidates are accepted; `tokens` are those that an
    accepted sample costs. Why others are rejected: `matrix datasets report`.

    - SOCIETY: people act, and an action reaches few of their group.

    - MODELS: slots are in use, little waits, nothing is given up.

    - STORE: commits go through.

    Example: `matrix top --once --json | jq '.datasets[] | {name, samples, left_seconds}'`
    """
    try:
        asyncio.run(_top(server, ca, interval, once, as_json))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _top(server: str, ca: Path | None, interval: float, once: bool, as_json: bool) -> None:
    async with connected(server, ca) as platform, aclosing(_shown(platform, interval)) as shown:
        if as_json or once or not output.is_terminal:
            # Rates need two looks: of the first one alone nothing is shown.
            await anext(shown)
            async for now in shown:
                if as_json:
                    print_json(now)
                else:
                    output.print(view(now, output.width))
                if once:
                    return
        with Live(console=output, screen=True, auto_refresh=False) as live:
            async for now in shown:
                live.update(view(now, output.width, output.height), refresh=True)


async def _shown(platform: Server, interval: float) -> AsyncGenerator[Figures]:
    """Yield the figures of each look.

    Raises:
        MatrixError: nobody answers at the first look, or at the second.
    """
    looks: list[Look] = []
    kept = max(_WINDOW_SECONDS, 1.5 * interval)
    while True:
        began = time.monotonic()
        look, errors = await take_look(platform)
        if not look.replicas and len(looks) < 2:
            raise _nobody(errors)
        looks = [*(each for each in looks if look.at - each.at <= kept), look]
        yield figures(looks, platform.services)
        await asyncio.sleep(max(0.0, began + interval - time.monotonic()))


async def take_look(platform: Server) -> tuple[Look, list[MatrixError]]:
    """Ask all services at once; return what they told, and why others did not."""
    # Where one address takes all calls, any name leads to it.
    asked = platform.services or ("",)
    answers = await asyncio.gather(*(_asked(platform, service) for service in asked))
    replicas: dict[str, Replica] = {}
    silent, errors = list[Silent](), list[MatrixError]()
    for service, answer in zip(asked, answers, strict=True):
        if isinstance(answer, MatrixError):
            silent.append(Silent(service, str(answer)))
            errors.append(answer)
            continue
        for told in answer.replicas:
            try:
                series = parsed(told.text, HISTOGRAMS)
            except Rejected as error:
                silent.append(Silent(told.service, str(error), told.replica_id))
                continue
            found = Replica(told.service, told.replica_id, told.version, series)
            replicas[found.replica_id] = found
        name = service or answer.replicas[0].service
        silent += [Silent(name, each.reason, each.address) for each in answer.unreachable]
    look = Look(time.monotonic(), time.time(), tuple(replicas.values()), tuple(silent))
    return look, errors


async def _asked(platform: Server, service: str) -> Any:
    """Return a service's answer, or why there is none; another replica is asked as well."""
    request, stub = pb.GetMetricsRequest(), TelemetryServiceStub
    try:
        try:
            return await platform.ask(service, "GetMetrics", request, _ANSWER_SECONDS, stub)
        except Retryable:
            await platform.leave(service)
            return await platform.ask(service, "GetMetrics", request, _ANSWER_SECONDS, stub)
    except Retryable as error:
        await platform.leave(service)
        return error
    except (Rejected, NotFound) as error:
        return error


def _nobody(errors: list[MatrixError]) -> MatrixError:
    """Return the error of a platform that tells nothing."""
    reasons = "; ".join(dict.fromkeys(str(error) for error in errors))
    kind = Rejected if all(isinstance(error, Rejected) for error in errors) else Retryable
    return kind(
        f"no service of the platform tells its metrics: {reasons}. Does it run? `matrix up` starts "
        "one, --server says where it is"
    )
