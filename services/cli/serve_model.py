"""`matrix serve-model`: the models of this machine as a server."""

import os
from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import tell
from services.local.model_server import ModelServerSettings, serve_models
from services.runtime import event_loop


def serve_model(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    embeddings_only: Annotated[
        bool, typer.Option("--embeddings-only", help="Without the LLM.")
    ] = False,
    log: Annotated[Path, typer.Option(help="File for what llama.cpp says of itself.")] = Path(
        os.devnull
    ),
) -> None:
    """Serve a real 135M LLM and an embedding model, OpenAI-compatible, on one port."""
    settings = ModelServerSettings(host, port, embeddings_only, log)
    event_loop.run(serve_models(settings, _tell))


def _tell(url: str) -> None:
    tell(f"models at {url}")
    tell(f"Next: matrix run --model {url}   (Ctrl-C ends the server)")
