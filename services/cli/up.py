"""`matrix up`: the whole platform as separate processes on this machine."""

import asyncio
import contextlib
import os
import shlex
import signal
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Group
from rich.live import Live
from rich.text import Text

from services.cli.console import configure_logs, console, tell
from services.cli.up_view import change_line, process_table
from services.local.up.children import Child, State
from services.local.up.settings import DEFAULT_DIRECTORY, UpSettings
from services.local.up.stack import Stack
from services.runtime.settings import Settings, read_settings

_TICK_SECONDS = 1.0
_LINE_SECONDS = 10.0
"""Pause between two looks at the datasets where there is no terminal."""


def up(
    dir: Annotated[
        Path, typer.Option(help="Directory of this platform; start again to go on.")
    ] = DEFAULT_DIRECTORY,
    replicas: Annotated[int, typer.Option(min=1, max=20, help="Of each service.")] = 1,
    model: Annotated[
        str, typer.Option(help="local (a real 135M LLM), simulated, or a server's URL.")
    ] = "local",
    model_name: Annotated[str, typer.Option(help="Model to ask the server for.")] = "",
    kafka: Annotated[
        str, typer.Option(help="HOST:PORT of an existing broker; else one is started.")
    ] = "",
    s3: Annotated[
        str, typer.Option(help="URL of an existing object store; else one is started.")
    ] = "",
    partitions: Annotated[int, typer.Option(min=1, max=1000, help="Of each topic.")] = 8,
    profiles: Annotated[
        Path | None,
        typer.Option(help="JSONL, CSV or Parquet with name, description, actions; else built-in."),
    ] = None,
    agents: Annotated[int, typer.Option(min=1, help="People of the society.")] = 25,
    seed: Annotated[int, typer.Option(help="Of grouping and the simulator.")] = 0,
    ports: Annotated[
        int, typer.Option(min=0, max=65535, help="First port of the services; 0 takes free ones.")
    ] = 0,
    prometheus: Annotated[
        bool, typer.Option(help="Start one that keeps the metrics, if one is installed.")
    ] = True,
    rules: Annotated[
        Path | None,
        typer.Option(
            help="Alerting rules of that Prometheus; those of a checkout by default.",
            show_default=False,
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Tell each change of a process, also on a terminal.")
    ] = False,
) -> None:
    """Run the whole platform on this machine: store, broker, model, and all five services.

    Ctrl-C ends it in order, a second one at once; the same command goes on where it was. Services
    take MATRIX_* settings from the environment. A token for --model URL is read from
    MATRIX_MODEL_API_KEY, the keys of --s3 from MATRIX_OBJECT_STORE__ACCESS_KEY and _SECRET_KEY.

    `matrix top` shows how all of it is doing. Prometheus is found on PATH or at MATRIX_PROMETHEUS,
    and keeps metrics for 24 hours, or for MATRIX_PROMETHEUS_RETENTION (15d).
    """
    configure_logs(verbose)
    settings = UpSettings(
        directory=dir,
        replicas=replicas,
        model=model,
        model_name=model_name,
        kafka=kafka,
        s3=s3,
        partitions=partitions,
        profiles=profiles,
        agents=agents,
        seed=seed,
        ports=ports,
        prometheus=prometheus,
        rules=rules,
        verbose=verbose,
    )
    asyncio.run(_run(settings, _base()))


def _base() -> Settings:
    base = read_settings()
    key = os.environ.get("MATRIX_MODEL_API_KEY", "")
    if not key:
        return base
    simulator = base.models.simulator.model_copy(update={"api_key": SecretStr(key)})
    models = base.models.model_copy(update={"simulator": simulator})
    return base.model_copy(update={"models": models})


async def _run(settings: UpSettings, base: Settings) -> None:
    lines = settings.verbose or not console.is_terminal

    def changed(child: Child) -> None:
        if lines or child.state is State.failed:
            tell(change_line(child))

    stack = Stack(settings, base, tell, changed)
    work = asyncio.create_task(stack.run(lambda: _tell_what_next(settings)))
    view = asyncio.create_task(_show(stack))
    killing: list[asyncio.Task[None]] = []

    def interrupt() -> None:
        if not work.cancelling():
            tell("ending; Ctrl-C again kills what is left")
            work.cancel()
        elif not killing:
            killing.append(asyncio.create_task(stack.supervisor.kill()))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await work
    finally:
        view.cancel()
        await asyncio.wait({view, *killing})
        if stack.supervisor.children:
            tell("everything has ended")


async def _show(stack: Stack) -> None:
    """Show processes and datasets until cancelled."""
    if not console.is_terminal:
        told: list[str] = []
        while True:
            lines = [str(line) for line in stack.datasets]
            for line in lines:
                if line not in told:
                    tell(line)
            told = lines
            await asyncio.sleep(_LINE_SECONDS if lines else _TICK_SECONDS)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            children = list(stack.supervisor.children)
            lines_of = [Text(str(line)) for line in stack.datasets]
            live.update(
                Group("", process_table(children, time.monotonic()), *lines_of), refresh=True
            )
            await asyncio.sleep(_TICK_SECONDS)


def _tell_what_next(settings: UpSettings) -> None:
    server = ""
    if settings.directory != DEFAULT_DIRECTORY:
        server = f" --server {shlex.quote(str(settings.directory / 'endpoints.json'))}"
    # What suits so small a model, as in `matrix run`.
    small = " --filter responses=2 --filter max_response_tokens=100"
    size = f"--size 12{small if settings.model == 'local' else ''}"
    tell(f"Next: matrix datasets create my-first --kind sft {size}{server}")
    tell(f"      matrix top{server}")
    tell(f"      matrix datasets watch my-first{server}   (Ctrl-C here ends the platform)")
