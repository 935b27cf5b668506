"""Options that say which models a command asks, and how; and the choice that they make."""

import os
from typing import Annotated, Any

import typer

from services.local.endpoints import ModelChoice

ModelOption = Annotated[
    str,
    typer.Option(help="local (a real 135M LLM in this process), simulated, or a server's URL."),
]
ModelNameOption = Annotated[str, typer.Option(help="Model to ask the server for.")]
StudentOption = Annotated[
    str, typer.Option(help="URL of the model that you train; by default the same as --model.")
]
StudentNameOption = Annotated[str, typer.Option(help="Model to ask that server for.")]
RewardOption = Annotated[
    str, typer.Option(help="URL of a reward model, or of a judge; by default --model judges.")
]
RewardNameOption = Annotated[str, typer.Option(help="Model to ask that server for.")]
HeldOutOption = Annotated[
    str, typer.Option(help="URL of a second one, whose rewards are reported and never decide.")
]
HeldOutNameOption = Annotated[str, typer.Option(help="Model to ask that server for.")]
EmbeddingOption = Annotated[
    str, typer.Option(help="URL of a server of embeddings; by default made in this process.")
]
EmbeddingNameOption = Annotated[str, typer.Option(help="Model to ask that server for.")]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option(min=1, help="Most calls at once; by default what keeps the model busy."),
]
PatienceOption = Annotated[
    float, typer.Option(min=0, help="Seconds to go on asking a model that fails.")
]
TimeoutOption = Annotated[
    float, typer.Option(min=0.1, help="Seconds after which a model call counts as failed.")
]


def model_choice(model: str, model_name: str, **others: Any) -> ModelChoice:
    """Return the models that the options name; their token is read from MATRIX_MODEL_API_KEY.

    Args:
        model: As `--model`.
        model_name: As `--model-name`.
        others: Other fields of the choice.
    """
    key = os.environ.get("MATRIX_MODEL_API_KEY", "")
    return ModelChoice(spec=model, name=model_name, api_key=key, **others)
