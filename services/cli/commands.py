"""All commands of `matrix`. Importing this loads the whole platform, which takes a second."""

import typer

from services.cli.console import configure_logs
from services.cli.datasets import datasets
from services.cli.run import run
from services.cli.serve import serve
from services.cli.serve_model import serve_model
from services.cli.simulate import simulate_model
from services.cli.topics import topics
from services.cli.trace import trace
from services.cli.up import up

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(up)
app.command()(serve)
app.add_typer(datasets, name="datasets")
app.command()(trace)
app.add_typer(topics, name="topics")
app.command("simulate-model")(simulate_model)
app.command("serve-model")(serve_model)


@app.callback()
def start() -> None:
    """Post-training data from a simulated society of LLM agents (MATRIX)."""
    configure_logs(verbose=False)
