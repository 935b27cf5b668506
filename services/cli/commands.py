"""All commands of `matrix`. Each loads what it needs, and only that: all together take a second."""

import importlib

import typer

from services.cli.console import configure_logs

_MODULES = {
    "run": "run",
    "up": "up",
    "top": "top",
    "serve": "serve",
    "agents": "agents",
    "scenarios": "scenarios",
    "datasets": "datasets",
    "samples": "watching",
    "trace": "trace",
    "models": "models",
    "topics": "topics",
    "bucket": "bucket",
    "dead-letters": "dead_letters",
    "simulate-model": "simulate",
    "serve-model": "serve_model",
}
"""Module of each command or group of commands, in the order of the help."""


def app_for(name: str) -> typer.Typer:
    """Return `matrix` with the command of that name; with all of them if there is none."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback()(_start)
    for command in [name] if name in _MODULES else _MODULES:
        module = importlib.import_module(f"services.cli.{_MODULES[command]}")
        found = getattr(module, command.replace("-", "_"))
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=command)
        else:
            app.command(command)(found)
    return app


def _start() -> None:
    """Post-training data from a simulated society of LLM agents (MATRIX)."""
    configure_logs(verbose=False)
