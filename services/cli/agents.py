"""`matrix agents`: the people of a platform that runs."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from matrix.agent_state.v1 import service_pb2 as pb
from rich.text import Text

from services.cli.console import note, output
from services.cli.importing import SERVICE, import_agents
from services.cli.plain import print_json
from services.cli.server import CaOption, JsonOption, ServerOption, connected
from services.cli.views import box, cell, facts, listing, moment
from services.runtime.errors import Rejected

agents = typer.Typer(no_args_is_help=True, help="The people of a platform that runs.")
agents.command("import")(import_agents)

_PAGE = 1000


@agents.command("list")
def list_agents(
    region: Annotated[str, typer.Option(help="Only of this region, as r03.")] = "",
    group: Annotated[str, typer.Option(help="Only of this group.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="People to list at most.")] = 100,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """List people, in order of id.

    Example: `matrix agents list --region r03 --limit 20`
    """
    request = pb.ListAgentsRequest(group_id=group, region=region)
    asyncio.run(_list(server, ca, "ListAgents", request, limit, as_json, _agents_table))


@agents.command("groups")
def list_groups(
    region: Annotated[str, typer.Option(help="Only of this region, as r03.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Groups to list at most.")] = 100,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """List groups, in order of id: similar people, who act and hear of each other.

    Example: `matrix agents groups --region r03`
    """
    request = pb.ListGroupsRequest(region=region)
    asyncio.run(_list(server, ca, "ListGroups", request, limit, as_json, _groups_table))


async def _list(
    server: str,
    ca: Path | None,
    method: str,
    request: pb.ListAgentsRequest | pb.ListGroupsRequest,
    limit: int,
    as_json: bool,
    table: Callable[[list[Any]], Any],
) -> None:
    found: list[Any] = []
    async with connected(server, ca) as platform:
        more = True
        while more and len(found) < limit:
            request.page_size = min(_PAGE, limit - len(found))
            page = await platform.ask(SERVICE, method, request)
            items = page.agents if method == "ListAgents" else page.groups
            if as_json:
                for item in items:
                    print_json(item)
            found.extend(items)
            request.page_token, more = page.next_page_token, bool(page.next_page_token)
    if as_json:
        return
    if not found:
        note("nobody there; `matrix agents import FILE` makes a society")
        return
    output.print(table(found))
    if more:
        note(f"only the first {limit:,}; --limit shows more")


def _agents_table(people: list[pb.AgentSummary]) -> Any:
    unborn = " (has not acted yet)"
    rows = [
        (who.agent_id, who.region, f"{_named(who)}{'' if who.born else unborn}") for who in people
    ]
    return listing(("agent", "region"), rows, wide="who")


def _named(person: Any) -> str:
    return f"{person.name}, {person.headline}" if person.headline else str(person.name)


def _groups_table(groups: list[pb.GroupSummary]) -> Any:
    rows = [
        (each.group_id, each.region, each.agents, max(each.step, -1) + 1, each.description)
        for each in groups
    ]
    return listing(("group", "region", ">agents", ">steps"), rows, wide="people")


@agents.command()
def show(
    agent_id: Annotated[str, typer.Argument(metavar="ID", help="As `matrix agents list` has it.")],
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Show a person as they are now: goal, plan, memories.

    Example: `matrix agents show 4bf9c2a6-64b9-5d1e-9c5b-0f5a4d1f7a11`
    """

    async def asked() -> Any:
        async with connected(server, ca) as platform:
            request = pb.GetAgentRequest(agent_id=agent_id)
            return (await platform.ask(SERVICE, "GetAgent", request)).agent

    person = asyncio.run(asked())
    if as_json:
        print_json(person)
        return
    place = f"{person.group_id}, region {person.region}"
    when = f"after step {person.step}" if person.step >= 0 else "before the first step"
    rows = [("id", person.agent_id), ("group", place), ("now", when), ("goal", person.goal)]
    output.print(box(_named(person), [person.description]))
    output.print(facts(rows if person.born else [*rows, ("born", "not yet: has never acted")]))
    if person.personality:
        output.print(box("personality", [person.personality]))
    if person.plan:
        done = person.plan_done
        steps = [f"{'x' if n < done else ' '} {n + 1}. {s}" for n, s in enumerate(person.plan)]
        output.print(box(f"plan, {done} of {len(person.plan)} steps taken", steps))
    if person.memories or person.memory_summary:
        latest = [f"step {memory.step}: {memory.text}" for memory in person.memories]
        output.print(box("memory", [*filter(None, [person.memory_summary]), *latest]))


@agents.command()
def population(
    max_agents: Annotated[
        int | None, typer.Option(min=0, help="How many people may be active; 0 stops all.")
    ] = None,
    min_agents: Annotated[
        int | None,
        typer.Option(min=0, help="So many may be active however busy the model server is."),
    ] = None,
    no_limit: Annotated[bool, typer.Option("--no-limit", help="Everybody may be active.")] = False,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Show how large the society is, or set how many of it may be active.

    Between the two limits, as many are as keep the model server saturated; what is not given stays
    as it is. A lower limit takes effect as groups end their current step; nobody is forgotten.

    Example: `matrix agents population --max-agents 500`
    """
    if no_limit and max_agents is not None:
        raise Rejected("--max-agents and --no-limit exclude each other: give one of them")

    async def asked() -> Any:
        async with connected(server, ca) as platform:
            request = pb.GetPopulationRequest()
            known = (await platform.ask(SERVICE, "GetPopulation", request)).population
            if not (no_limit or max_agents is not None or min_agents is not None):
                return known
            kept = known.max_agents if known.HasField("max_agents") and not no_limit else None
            change = pb.SetPopulationRequest(
                max_agents=kept if max_agents is None else max_agents,
                min_agents=known.min_agents if min_agents is None else min_agents,
            )
            return (await platform.ask(SERVICE, "SetPopulation", change)).population

    found = asyncio.run(asked())
    if as_json:
        print_json(found)
        return
    if not found.imported_at:
        note("no society yet; `matrix agents import FILE` makes one")
    limit = f"at most {found.max_agents:,}" if found.HasField("max_agents") else "all"
    regions = ", ".join(f"{name}: {count:,}" for name, count in sorted(found.regions.items()))
    rows = [
        ("agents", found.agents),
        ("groups", found.groups),
        ("regions", regions),
        ("may be active", limit),
        ("may always be", f"{found.min_agents:,}"),
        ("are to be active", _target(found)),
        ("are active", f"{found.active_agents:,}, where a dataset wants them"),
        ("imported (UTC)", moment(found.imported_at)),
    ]
    output.print(facts(rows))


def _target(found: pb.Population) -> str:
    if not found.HasField("target_agents"):
        return "as many as may be"
    since = moment(found.decided_at)
    return f"{found.target_agents:,}, so that the model server is full ({found.reason}, {since})"


@agents.command()
def watch(
    group: Annotated[str, typer.Option(help="Only of this group.")] = "",
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Show what people do, as they do it, until Ctrl-C; JSON lines when not on a terminal.

    Example: `matrix agents watch | jq -r .action.text`
    """
    asyncio.run(_watch(server, ca, group, as_json or not output.is_terminal))


async def _watch(server: str, ca: Path | None, group: str, as_json: bool) -> None:
    request = pb.WatchActionsRequest(group_id=group)
    async with (
        connected(server, ca) as platform,
        aclosing(platform.follow(SERVICE, "WatchActions", request)) as actions,
    ):
        async for done in actions:
            if as_json:
                print_json(done)
            else:
                action = done.action
                who = f"{done.region} step {done.step} {action.agent_name} ({action.kind}): "
                output.print(cell(who).append_text(Text(" ")).append_text(cell(action.text)))
