"""`matrix serve SERVICE`: one service as a process, as a cluster runs it."""

import importlib
from enum import StrEnum
from typing import Annotated

import typer


class Service(StrEnum):
    """What can be served; underscores may be written, too."""

    agent_state = "agent-state"
    message_modulation = "message-modulation"
    scenario_extraction = "scenario-extraction"
    instruction_generation = "instruction-generation"
    reward_filtering = "reward-filtering"


def _service(text: str) -> Service:
    return Service(text.replace("_", "-"))


def serve(
    service: Annotated[
        Service,
        typer.Argument(parser=_service, metavar="SERVICE", help=", ".join(Service)),
    ],
) -> None:
    """Run one service until SIGTERM; it is set up by MATRIX_... environment variables.

    The most important ones: MATRIX_KAFKA__BOOTSTRAP_SERVERS, MATRIX_KAFKA__PARTITIONS,
    MATRIX_MODELS__SIMULATOR__URL (and __TEACHER__, __STUDENT__, __REWARD__, __EMBEDDING__ where
    they differ), MATRIX_OBJECT_STORE__URL and __ENDPOINT, MATRIX_GRPC__PORT and __PEERS.
    Start order does not matter: a service waits for what it needs, and says for what.
    """
    # Only what this service needs is loaded.
    module = importlib.import_module(f"services.{service.name}.__main__")
    runtime = importlib.import_module("services.runtime.service")
    raise typer.Exit(runtime.main(module.NAME, module.compose))
