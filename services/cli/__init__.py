"""The command `matrix`."""

import os
import sys
from typing import Annotated

import structlog
import typer

from services.cli.console import console
from services.cli.datasets import datasets
from services.cli.run import run
from services.cli.simulate import simulate_model
from services.cli.trace import trace
from services.runtime.errors import MatrixError

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


def main() -> None:
    """Run the command; errors of the platform are told in one message, without a traceback."""
    try:
        app()
    except MatrixError as error:
        console.print(f"[bold red]error:[/] {_plain(error)}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where it was")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _plain(error: MatrixError) -> str:
    from rich.markup import escape

    return escape(str(error))
