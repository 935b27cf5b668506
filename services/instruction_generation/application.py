"""Claims become candidates: a person of a scenario is asked what they would ask an assistant."""

import asyncio
from dataclasses import dataclass

import structlog

from services.events import (
    AgentCard,
    DatasetDeclared,
    InstructionGenerated,
    Provenance,
    Requirement,
    ScenarioExtracted,
    Usage,
)
from services.instruction_generation.domain import Claim, GroupClaims
from services.instruction_generation.planner import Planner
from services.kinds import Kind, find_kind
from services.runtime.asking import complete_sentences
from services.runtime.dry_runs import unrecorded
from services.runtime.errors import NotFound, Rejected
from services.runtime.journal import ModelJournal, UnitOfWork
from services.runtime.ports import ChatModel, ChatRequest, Clock, Record
from services.runtime.prompts import as_text

_log = structlog.get_logger(__name__)
_INSTRUCTION_TOKENS = 90
_SCENE_ACTIONS = 3
"""Actions of the scenario that a prompt shows, those of the persona first."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An instruction, and what it came from."""

    instruction: str
    """Empty when the model refuses, or its answer breaks off in its first sentence."""
    prompt: str
    """As sent to the model."""
    requirement: Requirement
    agent_id: str
    model: str
    usage: Usage


class Generation:
    """Makes the instruction of a claim: one model call each."""

    def __init__(
        self,
        planner: Planner,
        kinds: dict[str, Kind],
        journal: ModelJournal,
        clock: Clock,
        patience_seconds: float = 30.0,
    ) -> None:
        """Take what to work with; a scenario that is not known yet is awaited for so long."""
        self.planner = planner
        self._kinds = kinds
        self._journal = journal
        self._clock = clock
        self._patience = patience_seconds

    async def instruct(self, claim: Claim) -> tuple[InstructionGenerated, list[Record]]:
        """Return the instruction of a claim and the journal's tombstones.

        It is empty when the model refuses, or what the claim is about stays unknown: the filter
        rejects an empty one, so that every claim gets its verdict.
        """
        unit = self._unit(claim.key, claim.candidate_id)
        try:
            scenario, dataset = await self._material(claim)
            kind = find_kind(self._kinds, dataset.kind)
            card = member(scenario, claim.agent_id)
        except (Rejected, NotFound) as error:
            _log.error("claim without material", candidate=claim.candidate_id, reason=str(error))
            return self.nothing(claim), unit.forget()
        draft = await _drafted(
            unit, kind, scenario, card, claim.requirement, dataset.filter.language
        )
        event = InstructionGenerated(
            candidate_id=claim.candidate_id,
            dataset=claim.dataset,
            stratum=claim.stratum,
            kind=dataset.kind,
            requirement=claim.requirement,
            instruction=draft.instruction,
            provenance=Provenance(
                scenario_id=scenario.scenario_id,
                group_id=scenario.group_id,
                agent_id=claim.agent_id,
                agent_ids=tuple(card.agent_id for card in scenario.agents),
                action_ids=tuple(routed.action.action_id for routed in scenario.actions),
                prompt=draft.prompt,
                instruction_model=draft.model,
                persona=_persona(card),
            ),
            usage=draft.usage,
            created_at=self._clock(),
        )
        return event, unit.forget()

    async def _material(self, claim: Claim) -> tuple[ScenarioExtracted, DatasetDeclared]:
        """Return what a claim is about; the topics that tell it may be behind the claim.

        Raises:
            Rejected: it is not known in time.
        """
        planner = self.planner
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    scenario = planner.libraries[claim.stratum].get(claim.scenario_id)
                    dataset = planner.datasets.get(claim.dataset)
                    if scenario is not None and dataset is not None:
                        return scenario, dataset
                    await planner.news()
        except TimeoutError:
            missing = f"dataset {claim.dataset!r}" if scenario else f"scenario {claim.scenario_id}"
            raise Rejected(f"{missing} is not known after {self._patience:g} s") from None

    def nothing(self, claim: Claim) -> InstructionGenerated:
        """Return the empty instruction of a claim that cannot be worked off."""
        dataset = self.planner.datasets.get(claim.dataset)
        return InstructionGenerated(
            candidate_id=claim.candidate_id,
            dataset=claim.dataset,
            stratum=claim.stratum,
            kind=dataset.kind if dataset else "",
            requirement=claim.requirement,
            instruction="",
            provenance=Provenance(claim.scenario_id, claim.group_id, claim.agent_id),
            created_at=self._clock(),
        )

    def forget(self, claim: Claim) -> list[Record]:
        """Return the journal's tombstones of a claim that nothing is to come of."""
        return self._unit(claim.key, claim.candidate_id).forget()

    def leftovers(self, stratum: str, claims: GroupClaims) -> list[Record]:
        """Return the journal's tombstones of published instructions: a crash may have kept them."""
        dataset = stratum.partition("/")[0]
        return [
            tombstone
            for candidate in claims.closed(dataset)
            for tombstone in self._unit(stratum, candidate).forget()
        ]

    def _unit(self, stratum: str, candidate: str) -> UnitOfWork:
        return self._journal.unit(f"candidate/{candidate}", stratum)


async def preview(
    model: ChatModel,
    kind: Kind,
    scenario: ScenarioExtracted,
    requirement: Requirement,
    agent_id: str = "",
) -> Draft:
    """Make one instruction, and keep nothing of it.

    Args:
        model: Who is asked.
        kind: Of the dataset that it could be for.
        scenario: From which it comes.
        requirement: What is asked for, one of `kind.requirements(...)`.
        agent_id: Who asks; the first person of the scenario when empty.

    Raises:
        NotFound: nobody of that id takes part in the scenario.
        Retryable: the model does not answer.
    """
    card = member(scenario, agent_id or scenario.agents[0].agent_id)
    return await _drafted(
        unrecorded(model).unit("preview", scenario.scenario_id),
        kind,
        scenario,
        card,
        requirement,
        kind.filter.language,
    )


def member(scenario: ScenarioExtracted, agent_id: str) -> AgentCard:
    """Return a person of a scenario.

    Raises:
        NotFound: nobody of that id takes part in it.
    """
    for card in scenario.agents:
        if card.agent_id == agent_id:
            return card
    raise NotFound(f"agent {agent_id!r} does not take part in scenario {scenario.scenario_id!r}")


async def _drafted(
    unit: UnitOfWork,
    kind: Kind,
    scenario: ScenarioExtracted,
    card: AgentCard,
    requirement: Requirement,
    language: str,
) -> Draft:
    prompt = kind.prompts["instruction"].render(
        persona=_persona(card),
        summary=scenario.summary,
        actions=_scene(scenario, card.agent_id),
        category=requirement.category,
        style=requirement.style,
        complexity=requirement.complexity,
        text=requirement.text,
        language=language,
    )
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
    return Draft(text, as_text(prompt), requirement, card.agent_id, model, usage)


def _persona(card: AgentCard) -> str:
    return f"{card.name}. {card.persona}"


def _scene(scenario: ScenarioExtracted, agent_id: str) -> list[str]:
    actions = [routed.action for routed in scenario.actions]
    own = [action for action in actions if action.agent_id == agent_id][-2:]
    others = [action for action in actions if action.agent_id != agent_id]
    chosen = {action.action_id for action in (*own, *others[-(_SCENE_ACTIONS - len(own)) :])}
    return [f"{a.agent_name}: {a.text}" for a in actions if a.action_id in chosen]
