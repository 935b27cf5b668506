"""Verdicts as rows of a dataset's table, and back."""

from datetime import UTC, datetime
from typing import Any

from services.events import (
    ChatMessage,
    Provenance,
    Requirement,
    Response,
    SampleJudged,
    Usage,
)
from services.reward_filtering.recipes.desk import UNJUDGED


def row(sample: SampleJudged) -> dict[str, Any]:
    """Return the row of a candidate; ops/dataset-schema.md says what the columns mean."""
    provenance = sample.provenance
    return {
        "id": sample.sample_id,
        "kind": sample.kind,
        "dataset": sample.dataset,
        "stratum": sample.stratum,
        "messages": [{"role": m.role, "content": m.content} for m in sample.messages],
        "requirement": {
            "id": sample.requirement.requirement_id,
            "category": sample.requirement.category,
            "complexity": sample.requirement.complexity,
            "style": sample.requirement.style,
            "text": sample.requirement.text,
        },
        "rewards": list(sample.rewards),
        "chosen": sample.chosen,
        "student_responses": [
            {
                "text": response.text,
                "reward": UNJUDGED if response.reward is None else response.reward,
                "outcome": response.outcome,
            }
            for response in sample.student_responses
        ],
        "rejected": sample.rejected,
        "answer": sample.answer,
        "tests": sample.tests,
        "accepted": sample.accepted,
        "stage": sample.stage,
        "reason": sample.reason,
        "scores": [{"name": k, "value": v} for k, v in sorted(sample.scores.items())],
        "persona": provenance.persona,
        "scenario_id": provenance.scenario_id,
        "group_id": provenance.group_id,
        "agent_id": provenance.agent_id,
        "agent_ids": list(provenance.agent_ids),
        "action_ids": list(provenance.action_ids),
        "prompt": provenance.prompt,
        "instruction_model": provenance.instruction_model,
        "response_model": provenance.response_model,
        "student_model": provenance.student_model,
        "reward_model": provenance.reward_model,
        "held_out_model": provenance.held_out_model,
        "calls": sample.usage.calls,
        "prompt_tokens": sample.usage.prompt_tokens,
        "completion_tokens": sample.usage.completion_tokens,
        "created_at": datetime.fromtimestamp(sample.created_at, UTC),
    }


def sample_of(row: dict[str, Any]) -> SampleJudged:
    """Return the verdict that a row was made of; embeddings are not in it."""
    asked = row["requirement"]
    return SampleJudged(
        sample_id=row["id"],
        dataset=row["dataset"],
        stratum=row["stratum"],
        kind=row["kind"],
        requirement=Requirement(
            asked["id"], asked["category"], asked["complexity"], asked["style"], asked["text"]
        ),
        accepted=row["accepted"],
        reason=row["reason"],
        stage=row["stage"],
        messages=tuple(ChatMessage(m["role"], m["content"]) for m in row["messages"]),
        provenance=Provenance(
            row["scenario_id"],
            row["group_id"],
            row["agent_id"],
            tuple(row["agent_ids"]),
            tuple(row["action_ids"]),
            row["prompt"],
            row["instruction_model"],
            row["response_model"],
            row["reward_model"],
            row["persona"],
            row["student_model"],
            row["held_out_model"],
        ),
        rewards=tuple(row["rewards"]),
        chosen=row["chosen"],
        scores={score["name"]: score["value"] for score in row["scores"]},
        usage=Usage(row["calls"], row["prompt_tokens"], row["completion_tokens"]),
        created_at=row["created_at"].timestamp(),
        student_responses=tuple(
            Response(
                "student",
                each["text"],
                None if each["reward"] == UNJUDGED else each["reward"],
                each["outcome"],
            )
            for each in row["student_responses"]
        ),
        rejected=row["rejected"],
        answer=row["answer"],
        tests=row["tests"],
    )
