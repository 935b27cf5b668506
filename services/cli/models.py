"""`matrix models`: the model servers that the settings name."""

import asyncio
from typing import Any

import typer
from rich.table import Table as View

from services.cli.console import output
from services.cli.plain import print_json
from services.cli.server import JsonOption
from services.runtime.endpoints import served_models
from services.runtime.errors import MatrixError, Rejected
from services.runtime.kserve_endpoints import find_inference_service, is_named
from services.runtime.model_servers import ROLES
from services.runtime.ports import Role
from services.runtime.settings import ModelsSettings, read_settings

models = typer.Typer(no_args_is_help=True, help="Show model servers.")


@models.callback()
def _models() -> None:
    """Without this, typer would make a command of the only one."""


@models.command()
def status(as_json: JsonOption = False) -> None:
    """Show readiness, address and replicas of the models in MATRIX_MODELS__ROLE__URL.

    Ends with code 1 when one of them is not ready.

    Example: `MATRIX_MODELS__SIMULATOR__URL=kserve://matrix-teacher matrix models status`
    """
    settings = read_settings().models
    if not settings.simulator.url:
        raise Rejected("MATRIX_MODELS__SIMULATOR__URL is not set: give an address or kserve://NAME")
    rows = asyncio.run(_rows(settings))
    if as_json:
        for row in rows:
            print_json(row)
    else:
        # Roles that share a server are one line: most have no server of their own.
        servers: dict[tuple[str, ...], list[str]] = {}
        for row in rows:
            replicas = "" if row["replicas"] is None else str(row["replicas"])
            what = ", ".join(row["models"]) or row["reason"]
            told = ("yes" if row["ready"] else "no", replicas, row["url"], what)
            servers.setdefault(told, []).append(row["role"])
        view = View("roles", "ready", "replicas", "address", "models, or why not")
        for line, roles in servers.items():
            view.add_row("\n".join(roles), *line)
        output.print(view)
    if not all(row["ready"] for row in rows):
        raise typer.Exit(1)


async def _rows(settings: ModelsSettings) -> list[dict[str, Any]]:
    roles: tuple[Role, ...] = (*ROLES, "held_out") if settings.held_out.url else ROLES
    return list(await asyncio.gather(*(_row(role, settings) for role in roles)))


async def _row(role: Role, settings: ModelsSettings) -> dict[str, Any]:
    own = settings.of(role)
    row: dict[str, Any] = {"role": role, "url": own.url, "ready": False, "replicas": None}
    row |= {"models": [], "reason": ""}
    try:
        if is_named(own.url):
            found = await find_inference_service(own.url)
            row |= {"url": found.url, "replicas": found.replicas, "ready": found.ready}
            # Its address is one of the cluster, and who asks may be outside.
            return {**row, "reason": found.reason}
        url = own.url.rstrip("/").removesuffix("/v1")
        served = await served_models(url, own.api_key.get_secret_value())
        return {**row, "ready": True, "models": served}
    except MatrixError as error:
        return {**row, "reason": str(error)}
