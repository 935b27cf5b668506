"""All commands of `matrix`. Importing this loads the whole platform, which takes a second."""

import sys
from typing import Annotated

import structlog
import typer

from services.cli.datasets import datasets
from services.cli.run import run
from services.cli.simulate import simulate_model
from services.cli.trace import trace

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Post-training data from a simulated society of LLM agents (MATRIX).",
)
app.command()(run)
app.add_typer(datasets, name="datasets")
app.command()(trace)
app.command("simulate-model")(simulate_model)


@app.callback()
def configure(
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens to stderr.")] = False,
) -> None:
    """Post-training data from a simulated society of LLM agents (MATRIX)."""
    level = 20 if verbose else 50
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
