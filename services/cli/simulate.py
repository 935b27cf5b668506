"""`matrix simulate-model`: a vLLM-compatible server without a model."""

import asyncio
from typing import Annotated

import typer

from services.cli.console import console
from services.local.simulator import Simulator, SimulatorSettings


def simulate_model(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[str, typer.Option(help="Model name to answer to.")] = "simulated",
    seed: Annotated[int, typer.Option(help="Another seed is another model.")] = 0,
    slots: Annotated[int, typer.Option(min=1, help="Calls worked on at once.")] = 256,
    seconds_per_call: Annotated[float, typer.Option(min=0, help="Time each call takes.")] = 0.0,
) -> None:
    """Serve a simulated model: deterministic answers made of the prompt's words, for trials."""
    settings = SimulatorSettings(
        host=host,
        port=port,
        model=name,
        seed=seed,
        slots=slots,
        seconds_per_call=seconds_per_call,
    )
    asyncio.run(_serve(settings))


async def _serve(settings: SimulatorSettings) -> None:
    simulator = Simulator(settings)
    console.print(f"simulated model {settings.names[0]!r} at {await simulator.start()}")
    try:
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
