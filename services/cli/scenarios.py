"""`matrix scenarios`: what has happened in the society, by meaning and by id."""

import asyncio
from typing import Annotated, Any

import typer
from matrix.scenario_extraction.v1 import service_pb2 as pb

from services.cli.console import note, output
from services.cli.plain import print_json
from services.cli.server import CaOption, JsonOption, ServerOption, connected
from services.cli.trace import scenario_boxes
from services.cli.views import box
from services.events import ScenarioExtracted, codec

scenarios = typer.Typer(no_args_is_help=True, help="What has happened in the society.")

SERVICE = "scenario_extraction"


@scenarios.command()
def search(
    text: Annotated[str, typer.Argument(help="What it is to be about.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="Scenarios to show at most.")] = 5,
    region: Annotated[str, typer.Option(help="Only of this region, as r03.")] = "",
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Find the scenarios nearest to a text in meaning, nearest first.

    Example: `matrix scenarios search "a bakery runs out of flour"`
    """
    request = pb.SearchScenariosRequest(query=text, limit=limit, region=region)
    found = asyncio.run(_ask(server, ca, "SearchScenarios", request)).scenarios
    if as_json:
        for each in found:
            print_json(each)
        return
    if not found:
        note("no scenarios there; the society makes them when some dataset wants samples")
    for each in found:
        scenario = each.scenario
        title = f"{scenario.scenario_id}  similarity {each.similarity:.2f}"
        names = ", ".join(card.name for card in scenario.agents)
        output.print(box(title, [scenario.summary, f"({scenario.region}: {names})"]))


@scenarios.command()
def show(
    scenario_id: Annotated[str, typer.Argument(metavar="ID", help="As `search` finds it.")],
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Show a scenario with its people, and who did what and became aware of what.

    Example: `matrix scenarios show 0e6b5d7c-3a2f-5c1b-8d0e-9f4a6b7c8d9e`
    """
    request = pb.GetScenarioRequest(scenario_id=scenario_id)
    found = asyncio.run(_ask(server, ca, "GetScenario", request)).scenario
    if as_json:
        print_json(found)
        return
    scenario = codec.CODECS[ScenarioExtracted.__name__].from_message(found)
    for panel in scenario_boxes(scenario):
        output.print(panel)


async def _ask(server: str, ca: Any, method: str, request: Any) -> Any:
    async with connected(server, ca) as platform:
        return await platform.ask(SERVICE, method, request)
