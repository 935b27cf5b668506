"""`matrix simulate-model`: a vLLM-compatible server without a model."""

import asyncio
from typing import Annotated, Any

import typer

from services.cli.console import tell
from services.local.simulator import SimulatorSettings, serve_forever
from services.runtime.errors import Rejected


def _share(what: str) -> Any:
    panel = "Faults, as shares of the calls"
    return typer.Option(min=0, max=1, help=what, rich_help_panel=panel)


def simulate_model(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[str, typer.Option(help="Model name to answer to.")] = "simulated",
    seed: Annotated[int, typer.Option(help="Another seed is another model.")] = 0,
    reward: Annotated[
        bool, typer.Option("--reward", help="A reward model: /classify, and nothing else.")
    ] = False,
    slots: Annotated[int, typer.Option(min=1, help="Calls worked on at once.")] = 256,
    max_model_len: Annotated[int, typer.Option(min=1, help="Tokens of prompt and answer.")] = 8192,
    seconds_per_call: Annotated[float, typer.Option(min=0, help="Time each call takes.")] = 0.0,
    seconds_per_token: Annotated[float, typer.Option(min=0, help="And each of its tokens.")] = 0.0,
    error_500: Annotated[float, _share("Answered with 500.")] = 0.0,
    error_503: Annotated[float, _share("Answered with 503: busy.")] = 0.0,
    garbage: Annotated[float, _share("Answered with what is not JSON.")] = 0.0,
    truncated: Annotated[float, _share("Answers break off half way.")] = 0.0,
    hang: Annotated[float, _share("Never answered.")] = 0.0,
) -> None:
    """Serve a simulated model: deterministic answers made of the prompt's words, for trials."""
    try:
        settings = SimulatorSettings(
            host=host,
            port=port,
            model=name,
            seed=seed,
            score_head=reward,
            max_model_len=max_model_len,
            slots=slots,
            seconds_per_call=seconds_per_call,
            seconds_per_token=seconds_per_token,
            error_500=error_500,
            error_503=error_503,
            garbage=garbage,
            truncated=truncated,
            hang=hang,
        )
        asyncio.run(serve_forever(settings, lambda url: _tell(name, url, reward)))
    except ValueError as error:
        raise Rejected(f"simulate-model: {error}") from error
    except OSError as error:
        raise Rejected(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another --port (0 takes any free one) or --host"
        ) from error


def _tell(name: str, url: str, reward: bool) -> None:
    tell(f"simulated {'reward model' if reward else 'model'} {name!r} at {url}")
    option = "--model simulated --reward" if reward else "--model"
    tell(f"Next: matrix run {option} {url}   (Ctrl-C ends the server)")
