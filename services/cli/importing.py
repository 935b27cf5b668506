"""`matrix agents import`: people from a file."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from matrix.agent_state.v1 import service_pb2 as pb
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from services.agent_state.profile_files import read_profiles
from services.agent_state.profiles import Profile
from services.cli.console import console, tell
from services.cli.plain import print_json
from services.cli.server import CaOption, JsonOption, ServerOption, connected
from services.cli.views import harmless
from services.cli.wording import counted

SERVICE = "agent_state"
_PROBLEMS_TOLD = 20


def import_agents(
    file: Annotated[
        Path, typer.Argument(help="JSONL, CSV or Parquet with name, description, actions.")
    ],
    seed: Annotated[int, typer.Option(help="Of the grouping.")] = 0,
    join: Annotated[
        bool, typer.Option("--join", help="Add to the society that is there already.")
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Make a society of the profiles in a file; a platform has one.

    Lines that cannot be used are told and passed over. Importing the same file again changes
    nothing, so an import that broke off is simply repeated. With --join, the people of another
    file join the society while it is at work: each the nearest group with room, or a new one.

    Example: `matrix agents import people.jsonl --seed 7`
    """
    found = read_profiles(file)
    for problem in found.problems[:_PROBLEMS_TOLD]:
        tell(f"not imported: {harmless(str(problem))}")
    _tell_rest(len(found.problems))
    made = asyncio.run(_import(server, ca, found.profiles, seed, join))
    for error in made.errors[:_PROBLEMS_TOLD]:
        # The server counts what it was sent; lines of the file were told above.
        person = found.profiles[error.line - 1].profile_id if error.line else "somebody"
        tell(f"not imported: {file.name}: profile {harmless(person)}: {harmless(error.reason)}")
    _tell_rest(made.refused)
    if as_json:
        print_json(made)
        return
    refused = len(found.problems) + made.refused
    regions = counted(len(made.regions), "region")
    if made.joined or made.present:
        tell(
            f"{made.joined:,} people joined: {counted(made.joined_groups, 'group')} took some in, "
            f"{made.founded_groups:,} new; {made.present:,} were there before"
        )
    tell(
        f"{made.agents:,} people in {counted(made.groups, 'group')} and {regions}, "
        f"{refused:,} not imported"
    )


def _tell_rest(problems: int) -> None:
    if problems > _PROBLEMS_TOLD:
        tell(f"not imported: {problems - _PROBLEMS_TOLD:,} more")


async def _import(
    server: str, ca: Path | None, profiles: Sequence[Profile], seed: int, join: bool
) -> pb.ImportAgentsResponse:
    hidden = not console.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    async with connected(server, ca) as platform:
        with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
            task = bar.add_task("sending", total=len(profiles))

            def sent(count: int) -> None:
                last = count == len(profiles)
                label = "sent; the platform takes them in" if last else "sending"
                bar.update(task, completed=count, description=label)

            parts = import_parts(profiles, seed, sent, join)
            answer: pb.ImportAgentsResponse = await platform.ask(
                SERVICE, "ImportAgents", parts, None
            )
    return answer


async def import_parts(
    profiles: Sequence[Profile], seed: int, sent: Callable[[int], None], join: bool = False
) -> AsyncIterator[pb.ImportAgentsRequest]:
    """Yield an import as the service takes it; `sent` is told how many were taken up."""
    yield pb.ImportAgentsRequest(options=pb.ImportOptions(seed=seed, join=join))
    for number, profile in enumerate(profiles, 1):
        fields = {
            "id": profile.profile_id,
            "name": profile.name,
            "headline": profile.headline,
            "description": profile.description,
            "actions": profile.actions,
            "synthetic": profile.synthetic,
        }
        yield pb.ImportAgentsRequest(profile=orjson.dumps(fields).decode())
        sent(number)
