"""What a platform makes, as it comes; and one instruction or verdict that nothing is kept of."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from matrix.instruction_generation.v1 import service_pb2 as orders
from matrix.reward_filtering.v1 import service_pb2 as pb

from services.cli import orders as ordering
from services.cli.console import note, output, tell
from services.cli.filters import filter_overrides
from services.cli.orders import NameArgument
from services.cli.plain import print_json
from services.cli.server import (
    MODEL_SECONDS,
    CaOption,
    JsonOption,
    ServerOption,
    connected,
)
from services.cli.views import box, dialogue, facts, harmless

SERVICE = "reward_filtering"

samples = typer.Typer(no_args_is_help=True, help="Samples, tried out.")


def watch(
    name: NameArgument,
    rejected: Annotated[bool, typer.Option("--rejected", help="Rejected ones, too.")] = False,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Show accepted samples as they come, until Ctrl-C; JSON lines when not on a terminal.

    Example: `matrix datasets watch my-first | jq -r '.messages[0].content'`
    """
    asyncio.run(_watch(server, ca, name, rejected, as_json or not output.is_terminal))


async def _watch(server: str, ca: Path | None, name: str, rejected: bool, as_json: bool) -> None:
    request = pb.WatchSamplesRequest(dataset=name, include_rejected=rejected)
    async with connected(server, ca) as platform:
        # Nothing ever comes of a name that is misspelt: it is refused here.
        known = pb.GetDatasetStatsRequest(dataset=name)
        await platform.ask(SERVICE, "GetDatasetStats", known)
        if not as_json:
            note(f"what is made for {name} from now on; Ctrl-C ends")
        async with aclosing(platform.follow(SERVICE, "WatchSamples", request)) as stream:
            async for answer in stream:
                if as_json:
                    print_json(answer.sample)
                else:
                    output.print(sample_box(answer.sample))


def sample_box(sample: Any) -> Any:
    """Return a sample in full, and why it was rejected if it was."""
    turns = [(message.role, message.content) for message in sample.messages]
    verdict = "" if sample.accepted else f" rejected: {sample.reason}"
    return dialogue(f"{sample.sample_id}{verdict}", turns)


def preview(
    scenario_id: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="As `matrix scenarios search` finds it.")
    ],
    kind: Annotated[str, typer.Option(help="What is made: a folder of services/kinds.")] = "sft",
    agent: Annotated[
        str, typer.Option(help="Id of who asks; the first person of the scenario by default.")
    ] = "",
    requirement: Annotated[
        str, typer.Option(help="Your field in free text, for kind domain.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of which of the kind's requirements is taken.")] = 0,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Make one instruction, and keep nothing of it: to see what a kind asks for.

    Example: `matrix datasets preview 0e6b5d7c-3a2f-5c1b-8d0e-9f4a6b7c8d9e --seed 3`
    """
    request = orders.PreviewInstructionRequest(
        scenario_id=scenario_id, agent_id=agent, kind=kind, requirement=requirement, seed=seed
    )

    async def asked() -> orders.PreviewInstructionResponse:
        async with connected(server, ca) as platform:
            answer: orders.PreviewInstructionResponse = await platform.ask(
                ordering.SERVICE, "PreviewInstruction", request, MODEL_SECONDS
            )
            return answer

    draft = asyncio.run(asked())
    if as_json:
        print_json(draft)
        return
    wanted = draft.requirement
    output.print(box("prompt", [draft.prompt]))
    asked_for = f"{wanted.category}, complexity {wanted.complexity}, {wanted.style}"
    output.print(facts([("asked for", asked_for), ("who asks", draft.agent_id)]))
    output.print(box("instruction", [draft.instruction or "(the model asks for nothing)"]))
    usage = draft.usage
    tokens = f"{usage.prompt_tokens:,} prompt and {usage.completion_tokens:,} completion tokens"
    tell(f"{harmless(draft.model)}, {tokens}")


@samples.callback()
def _samples() -> None:
    """Samples, tried out."""


@samples.command()
def judge(
    instruction: Annotated[str, typer.Option(help="What a person would ask.")],
    response: Annotated[
        list[str] | None,
        typer.Option(help="Judged instead of sampling any; may be repeated.", show_default=False),
    ] = None,
    kind: Annotated[str, typer.Option(help="Whose filter is used.")] = "sft",
    filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="A filter setting that differs.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Judge an instruction as if it were a dataset's first candidate, and keep nothing of it.

    Example: `matrix samples judge --instruction "How do I descale a kettle?"
    --response "Boil vinegar and water in it."`
    """
    request = pb.JudgeSampleRequest(
        instruction=instruction,
        responses=response or [],
        kind=kind,
        filter=filter_overrides(filter or []),
    )

    async def asked() -> pb.JudgeSampleResponse:
        async with connected(server, ca) as platform:
            answer: pb.JudgeSampleResponse = await platform.ask(
                SERVICE, "JudgeSample", request, MODEL_SECONDS
            )
            return answer

    trial = asyncio.run(asked())
    if as_json:
        print_json(trial)
        return
    verdict = "accepted" if trial.accepted else f"rejected: {trial.static_reason or trial.reason}"
    output.print(box(f"instruction, {verdict} ({trial.stage})", [trial.instruction]))
    for number, text in enumerate(trial.responses):
        reward = f", reward {trial.rewards[number]:.2f}" if number < len(trial.rewards) else ""
        taken = " (taken)" if number == trial.chosen else ""
        output.print(box(f"response {number + 1}{reward}{taken}", [text]))
    scores = [(name, f"{value:.3f}") for name, value in sorted(trial.scores.items())]
    usage = trial.usage
    spent = f"{usage.calls} calls, {usage.prompt_tokens + usage.completion_tokens:,} tokens"
    output.print(facts([*scores, ("spent", spent)]))
