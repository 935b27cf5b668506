"""`matrix simulate-model`: a vLLM-compatible server without a model."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from services.cli.console import tell
from services.local.simulator import PRESETS, SimulatorSettings, serve_forever
from services.runtime.errors import Rejected

_FIELDS = {"name": "model", "reward": "score_head"}
"""Options that are called otherwise in the settings."""


def _time(what: str) -> Any:
    return typer.Option(min=0, help=what, rich_help_panel="Time that it takes")


def _cache(what: str) -> Any:
    return typer.Option(min=1, help=what, rich_help_panel="KV cache")


def _share(what: str) -> Any:
    panel = "Faults, as shares of the calls"
    return typer.Option(min=0, max=1, help=what, rich_help_panel=panel)


def simulate_model(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[str, typer.Option(help="Model name to answer to.")] = "simulated",
    seed: Annotated[int, typer.Option(help="Another seed is another model.")] = 0,
    reward: Annotated[
        bool, typer.Option("--reward", help="A reward model: /classify, and nothing else.")
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Slots, times and cache of a real server: {', '.join(PRESETS)}. "
            "Options that are given win."
        ),
    ] = None,
    max_model_len: Annotated[int, typer.Option(min=1, help="Tokens of prompt and answer.")] = 8192,
    slots: Annotated[
        int, typer.Option(min=1, help="Sequences worked on at once: choices of calls, texts.")
    ] = 256,
    waiting: Annotated[
        int | None, typer.Option(min=0, help="Sequences that may wait; then 503. Default: any.")
    ] = None,
    scheduling_policy: Annotated[
        Literal["fcfs", "priority"],
        typer.Option(help="Who runs first; only one of them heeds `priority`."),
    ] = "fcfs",
    seconds_per_call: Annotated[float, _time("Before the first token.")] = 0.0,
    seconds_per_prompt_token: Annotated[float, _time("And per token not in the cache.")] = 0.0,
    seconds_per_token: Annotated[float, _time("Per token after the first one.")] = 0.0,
    load_factor: Annotated[float, _time("Tokens take longer by this when all slots are taken.")] = (
        0.0
    ),
    spread: Annotated[float, _time("Sigma of a lognormal factor on a call's time.")] = 0.0,
    loading_seconds: Annotated[float, _time("Before it listens.")] = 0.0,
    kv_blocks: Annotated[
        int | None, _cache("Blocks; sequences without room wait. Default: no cache.")
    ] = None,
    block_size: Annotated[int, _cache("Tokens of a block.")] = 16,
    error_500: Annotated[float, _share("Answered with 500.")] = 0.0,
    error_503: Annotated[float, _share("Answered with 503: busy.")] = 0.0,
    garbage: Annotated[float, _share("Answered with what is not JSON.")] = 0.0,
    truncated: Annotated[float, _share("Answers break off half way.")] = 0.0,
    cut: Annotated[float, _share("Connections are cut half way through the answer.")] = 0.0,
    hang: Annotated[float, _share("Never answered.")] = 0.0,
    dead_after: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Answered calls after which the engine is dead for good: 500.",
            rich_help_panel="Faults, as shares of the calls",
        ),
    ] = None,
) -> None:
    """Serve a simulated model: deterministic answers made of the prompt's words, for trials.

    While it runs, signal USR1 doubles its slots, and USR2 halves them.
    """
    try:
        settings = SimulatorSettings(**_values(context, preset))
        asyncio.run(serve_forever(settings, lambda url: _tell(name, url, reward)))
    except ValueError as error:
        raise Rejected(f"simulate-model: {error}") from error
    except OSError as error:
        raise Rejected(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another --port (0 takes any free one) or --host"
        ) from error


def _values(context: typer.Context, preset: str | None) -> Mapping[str, Any]:
    """Return what was given, else what the preset says, else the defaults."""
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"--preset {preset!r}: there are {', '.join(PRESETS)}")
    options = {name: value for name, value in context.params.items() if name != "preset"}
    given = {name for name in options if _is_given(context, name)}
    values = {_FIELDS.get(name, name): value for name, value in options.items()}
    chosen = {_FIELDS.get(name, name): options[name] for name in given}
    return {**values, **(PRESETS[preset] if preset else {}), **chosen}


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _tell(name: str, url: str, reward: bool) -> None:
    tell(f"simulated {'reward model' if reward else 'model'} {name!r} at {url}")
    option = "--model simulated --reward" if reward else "--model"
    tell(f"Next: matrix run {option} {url}   (Ctrl-C ends the server)")
