"""Orders become candidates: claims are worked off, and their instructions published."""

import asyncio
import re
from dataclasses import replace

from services.events import (
    DatasetDeclared,
    Grant,
    InstructionGenerated,
    Provenance,
    ScenarioExtracted,
    Usage,
)
from services.instruction_generation.domain import Claim
from services.instruction_generation.kinds import Kind, find_kind
from services.instruction_generation.planner import Planner
from services.instruction_generation.quotas import divide
from services.runtime.asking import complete_sentences
from services.runtime.errors import Rejected
from services.runtime.ids import derived_seed
from services.runtime.journal import ModelJournal, UnitOfWork
from services.runtime.ports import ChatRequest, Clock, Record
from services.runtime.prompts import as_text

_INSTRUCTION_TOKENS = 90
_SCENE_ACTIONS = 3
"""Actions of the scenario that a prompt shows, those of the persona first."""
_NAME = re.compile(r"[^\W_][\w.-]{0,59}")
"""Fits in 255 bytes, which file systems take, whatever the script."""


def check_name(name: str) -> None:
    """Refuse a dataset name that cannot name the folder of the dataset's table.

    Raises:
        Rejected: it has other characters, begins with a mark, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise Rejected(
            f"dataset name {name!r} cannot be a folder's name: use letters, digits, '-', '_' and "
            "'.', at most 60, and begin with a letter or digit"
        )


def ordered(
    kinds: dict[str, Kind],
    name: str,
    kind: str,
    size: int,
    domain: str,
    regions: dict[str, int],
    seed: int,
    now: float,
    limits: dict[str, int] | None = None,
) -> DatasetDeclared:
    """Return a new order for `size` samples, divided among the regions by their agents.

    Raises:
        NotFound: no such kind.
        Rejected: a size below 1, a name that cannot name a folder, or a kind without the
            requirement text it needs.
    """
    check_name(name)
    if size < 1:
        raise Rejected(f"dataset {name!r}: size is {size}, it must be at least 1")
    found = find_kind(kinds, kind)
    grants = divide(size, {region: float(agents) for region, agents in regions.items()})
    return DatasetDeclared(
        dataset=name,
        kind=kind,
        size=size,
        domain=domain,
        requirements=found.requirements(domain, derived_seed("requirements", name, seed)),
        filter=replace(found.filter, **(limits or {})),  # type: ignore[arg-type]
        grants=tuple(Grant(stratum, granted) for stratum, granted in sorted(grants.items())),
        created_at=now,
    )


def extended(dataset: DatasetDeclared, more: int, regions: dict[str, int]) -> DatasetDeclared:
    """Return the order with `more` samples on top."""
    extra = divide(more, {region: float(agents) for region, agents in regions.items()})
    grants = {grant.stratum: grant for grant in dataset.grants}
    for stratum, count in extra.items():
        grant = grants.get(stratum, Grant(stratum, 0))
        grants[stratum] = replace(grant, granted=grant.granted + count)
    return replace(
        dataset,
        size=dataset.size + more,
        grants=tuple(grant for _, grant in sorted(grants.items())),
    )


class Generation:
    """Works claims off: one model call each."""

    def __init__(
        self, planner: Planner, kinds: dict[str, Kind], journal: ModelJournal, clock: Clock
    ) -> None:
        self.planner = planner
        self.queue: asyncio.Queue[Claim] = asyncio.Queue()
        self._kinds = kinds
        self._journal = journal
        self._clock = clock

    async def instruct(self, claim: Claim) -> tuple[InstructionGenerated, list[Record]]:
        """Return the instruction of a claim and the journal's tombstones.

        A prompt that the model refuses for good, or whose answer breaks off in its first sentence,
        gives an empty instruction, which the filter rejects: every claim gets a verdict.

        Raises:
            Rejected: the scenario or the dataset of the claim is not known here.
        """
        scenario = self.planner.libraries[claim.stratum].get(claim.scenario_id)
        dataset = self.planner.datasets.get(claim.dataset)
        if scenario is None or dataset is None:
            missing = f"scenario {claim.scenario_id}" if dataset else f"dataset {claim.dataset!r}"
            raise Rejected(f"candidate {claim.candidate_id}: {missing} is not known here")
        card = next(card for card in scenario.agents if card.agent_id == claim.agent_id)
        prompt = find_kind(self._kinds, dataset.kind).prompt.render(
            persona=f"{card.name}. {card.persona}",
            summary=scenario.summary,
            actions=_scene(scenario, claim.agent_id),
            category=claim.requirement.category,
            style=claim.requirement.style,
            complexity=claim.requirement.complexity,
            text=claim.requirement.text,
        )
        unit = self._unit(claim.candidate_id, scenario.group_id)
        request = ChatRequest(prompt, _INSTRUCTION_TOKENS, temperature=0.7)
        text, model, usage = "", "", Usage()
        try:
            answer = await unit.chat("instruction", "teacher", "instruction", request)
        except Rejected:
            pass
        else:
            text, model = answer.completions[0].text, answer.model
            if answer.completions[0].finish_reason != "stop":
                text = complete_sentences(text)
            usage = Usage(1, answer.prompt_tokens, answer.completion_tokens)
        event = InstructionGenerated(
            candidate_id=claim.candidate_id,
            dataset=claim.dataset,
            stratum=claim.stratum,
            kind=dataset.kind,
            requirement=claim.requirement,
            instruction=text,
            provenance=Provenance(
                scenario_id=scenario.scenario_id,
                group_id=scenario.group_id,
                agent_id=claim.agent_id,
                agent_ids=tuple(card.agent_id for card in scenario.agents),
                action_ids=tuple(routed.action.action_id for routed in scenario.actions),
                prompt=as_text(prompt),
                instruction_model=model,
                persona=f"{card.name}. {card.persona}",
            ),
            usage=usage,
            created_at=self._clock(),
        )
        return event, unit.forget()

    def leftovers(self) -> list[Record]:
        """Return the journal's tombstones of published instructions: a crash may have kept them."""
        return [
            tombstone
            for group_id, candidate_id in self.planner.closed_candidates()
            for tombstone in self._unit(candidate_id, group_id).forget()
        ]

    def _unit(self, candidate_id: str, group_id: str) -> UnitOfWork:
        return self._journal.unit(f"candidate/{candidate_id}", group_id)


def _scene(scenario: ScenarioExtracted, agent_id: str) -> list[str]:
    actions = [routed.action for routed in scenario.actions]
    own = [action for action in actions if action.agent_id == agent_id][-2:]
    others = [action for action in actions if action.agent_id != agent_id]
    chosen = {action.action_id for action in (*own, *others[-(_SCENE_ACTIONS - len(own)) :])}
    return [f"{a.agent_name}: {a.text}" for a in actions if a.action_id in chosen]
