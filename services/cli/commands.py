"""All commands of `matrix`. Importing this loads the whole platform, which takes a second."""

import typer

from services.cli.agents import agents
from services.cli.bucket import bucket
from services.cli.console import configure_logs
from services.cli.datasets import datasets
from services.cli.dead_letters import dead_letters
from services.cli.run import run
from services.cli.scenarios import scenarios
from services.cli.serve import serve
from services.cli.serve_model import serve_model
from services.cli.simulate import simulate_model
from services.cli.topics import topics
from services.cli.trace import trace
from services.cli.up import up
from services.cli.watching import samples

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(up)
app.command()(serve)
app.add_typer(agents, name="agents")
app.add_typer(scenarios, name="scenarios")
app.add_typer(datasets, name="datasets")
app.add_typer(samples, name="samples")
app.command()(trace)
app.add_typer(topics, name="topics")
app.add_typer(bucket, name="bucket")
app.add_typer(dead_letters, name="dead-letters")
app.command("simulate-model")(simulate_model)
app.command("serve-model")(serve_model)


@app.callback()
def start() -> None:
    """Post-training data from a simulated society of LLM agents (MATRIX)."""
    configure_logs(verbose=False)
