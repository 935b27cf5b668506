"""`matrix trace`: where a sample comes from."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.panel import Panel
from rich.text import Text

from services.cli.console import output
from services.events import SampleJudged, ScenarioExtracted, codec
from services.events.topics import SAMPLES_JUDGED, SCENARIOS_EXTRACTED, TOPICS
from services.local.log import Log
from services.runtime.errors import NotFound


def trace(
    sample_id: str,
    out: Annotated[Path, typer.Option(help="Directory of the run.")] = Path("data"),
) -> None:
    """Print a sample's scenario, steps, actions, messages, agents and prompt."""
    sample, scenario = asyncio.run(_find(out, sample_id))
    provenance = sample.provenance
    _show("sample", [f"{m.role}: {m.content}" for m in sample.messages])
    verdict = "accepted" if sample.accepted else f"rejected: {sample.reason}"
    scores = [f"{name} = {value:.3f}" for name, value in sorted(sample.scores.items())]
    rewards = ", ".join(f"{reward:.2f}" for reward in sample.rewards)
    _show(f"verdict: {verdict}", [f"rewards: {rewards} (taken: {sample.chosen})", *scores])
    _show("prompt of the instruction", [provenance.prompt])
    place = [
        f"id: {scenario.scenario_id}",
        f"group: {scenario.group_id}, region {scenario.region}",
        f"steps: {scenario.first_step} to {scenario.last_step}",
    ]
    _show("scenario", [*place, "", scenario.summary])
    names = {card.agent_id: card.name for card in scenario.agents}
    _show("agents", [_agent(card, provenance.agent_id) for card in scenario.agents], "\n\n")
    _show("actions and messages", [_action(r, names) for r in scenario.actions], "\n\n")


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


def _show(title: str, lines: list[str], between: str = "\n") -> None:
    output.print(Panel(Text(between.join(lines)), title=Text(title), title_align="left"))


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
