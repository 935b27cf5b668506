"""`matrix trace`: where a sample comes from."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from matrix.reward_filtering.v1 import service_pb2 as filtering
from matrix.scenario_extraction.v1 import service_pb2 as extraction
from rich.panel import Panel

from services.cli.console import output
from services.cli.local_datasets import OutOption
from services.cli.plain import print_json
from services.cli.server import (
    DEFAULT_OUT,
    CaOption,
    JsonOption,
    ServerOption,
    connected,
    is_remote,
)
from services.cli.views import box
from services.events import SampleJudged, ScenarioExtracted, codec
from services.events.topics import SAMPLES_JUDGED, SCENARIOS_EXTRACTED, TOPICS
from services.local.log import Log
from services.runtime.errors import NotFound


def trace(
    sample_id: Annotated[str, typer.Argument(metavar="SAMPLE", help="Id of a sample.")],
    out: OutOption = None,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Print a sample's scenario, steps, actions, messages, agents and prompt.

    Example: `matrix trace 704cb4fa-2d4e-5f0a-9c6b-1b7e8f9a0b1c`
    """
    if is_remote(server, out):
        sample, scenario = asyncio.run(_ask(server, ca, sample_id))
    else:
        sample, scenario = asyncio.run(_find(out or DEFAULT_OUT, sample_id))
    if as_json:
        print_json({"sample": sample, "scenario": scenario})
        return
    for panel in (*_sample_boxes(sample), *scenario_boxes(scenario, sample.provenance.agent_id)):
        output.print(panel)


def _sample_boxes(sample: SampleJudged) -> Iterator[Panel]:
    yield box("sample", [f"{m.role}: {m.content}" for m in sample.messages])
    verdict = "accepted" if sample.accepted else f"rejected: {sample.reason}"
    scores = [f"{name} = {value:.3f}" for name, value in sorted(sample.scores.items())]
    rewards = ", ".join(f"{reward:.2f}" for reward in sample.rewards)
    yield box(f"verdict: {verdict}", [f"rewards: {rewards} (taken: {sample.chosen})", *scores])
    yield box("prompt of the instruction", [sample.provenance.prompt])


def scenario_boxes(scenario: ScenarioExtracted, asking: str = "") -> Iterator[Panel]:
    """Yield what a scenario is about, its people, and who did what.

    Args:
        scenario: to be shown.
        asking: id of the person who asks, who is marked.
    """
    place = [
        f"id: {scenario.scenario_id}",
        f"group: {scenario.group_id}, region {scenario.region}",
        f"steps: {scenario.first_step} to {scenario.last_step}",
    ]
    yield box("scenario", [*place, "", scenario.summary])
    names = {card.agent_id: card.name for card in scenario.agents}
    yield box("agents", [_agent(card, asking) for card in scenario.agents], "\n\n")
    yield box("actions and messages", [_action(r, names) for r in scenario.actions], "\n\n")


def _agent(card: Any, asking: str) -> str:
    mark = "  <- asks" if card.agent_id == asking else ""
    return f"{card.name} ({card.agent_id}){mark}\n{card.persona}\nGoal: {card.goal}"


def _action(routed: Any, names: dict[str, str]) -> str:
    action = routed.action
    aware = [names.get(agent_id, agent_id) for agent_id in routed.aware_agent_ids]
    if groups := len(routed.aware_group_ids):
        aware.append(f"{groups} other group{'s' if groups > 1 else ''}")
    heard = f"-> {', '.join(aware) or 'nobody'}; {routed.reason}"
    return f"{action.agent_name} [{action.kind}, {action.action_id}]: {action.text}\n   {heard}"


async def _ask(
    server: str, ca: Path | None, sample_id: str
) -> tuple[SampleJudged, ScenarioExtracted]:
    async with connected(server, ca) as platform:
        wanted = filtering.GetSampleRequest(sample_id=sample_id)
        sample: SampleJudged = codec.CODECS[SampleJudged.__name__].from_message(
            (await platform.ask("reward_filtering", "GetSample", wanted)).sample
        )
        source = extraction.GetScenarioRequest(scenario_id=sample.provenance.scenario_id)
        scenario: ScenarioExtracted = codec.CODECS[ScenarioExtracted.__name__].from_message(
            (await platform.ask("scenario_extraction", "GetScenario", source)).scenario
        )
        return sample, scenario


async def _find(out: Path, sample_id: str) -> tuple[SampleJudged, ScenarioExtracted]:
    path = out / "log.db"
    if not path.exists():
        raise NotFound(f"{out} holds no run; give the directory of one with --out")
    log = Log(path, {topic.name for topic in TOPICS if topic.compacted}, read_only=True)
    try:
        judged = [codec.from_delivery(d) for d in await log.history(SAMPLES_JUDGED.name)]
        samples = [event for event in judged if isinstance(event, SampleJudged)]
        sample = next((event for event in samples if event.sample_id == sample_id), None)
        if sample is None:
            raise NotFound(f"no sample {sample_id!r} in {out}; {_those_there_are(out, samples)}")
        wanted = sample.provenance.scenario_id
        for delivery in await log.history(SCENARIOS_EXTRACTED.name):
            scenario = codec.from_delivery(delivery)
            if scenario.scenario_id == wanted:
                return sample, scenario
        raise NotFound(f"scenario {wanted} of sample {sample_id} is not in {path}")
    finally:
        await log.close()


def _those_there_are(out: Path, samples: list[SampleJudged]) -> str:
    accepted = [sample for sample in samples if sample.accepted]
    if not accepted:
        return "there are none yet"
    names = sorted({sample.dataset for sample in accepted})
    return (
        f"there are {len(accepted)} in {', '.join(names)}, for instance {accepted[-1].sample_id}; "
        f"`matrix datasets show {names[0]} --out {out}` shows more"
    )
