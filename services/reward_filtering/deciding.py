"""Whether a measured sample is accepted: a pure function of it, its order and its stratum.

Stages after the static one, each of which can be off: `response`, `verifiable`, `rip`, `margin`,
and at last the quota. The first that refuses gives the reason.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from services.events import FilterSpec, SampleJudged
from services.reward_filtering.domain import Stratum
from services.reward_filtering.languages import language_reason
from services.reward_filtering.recipes.pairing import pair_of
from services.reward_filtering.recipes.reasoning import unfit_trace
from services.reward_filtering.recipes.refusing import is_benign
from services.reward_filtering.recipes.rollouts import success_band
from services.reward_filtering.signal.bands import MarginBand, RipBand, margin_verdict, rip_verdict
from services.reward_filtering.static_filters import is_refusal
from services.reward_filtering.verdicts import ResponseLimits, response_reason

Stage = Callable[[FilterSpec, str, Stratum, SampleJudged], tuple[str, Mapping[str, float]]]
"""Of settings, recipe, stratum and sample: the reason to refuse it or "", and what explains it."""


def decided(spec: FilterSpec, recipe: str, stratum: Stratum, sample: SampleJudged) -> SampleJudged:
    """Return the sample with the verdict on it.

    Args:
        spec: Of its dataset.
        recipe: By which it was made.
        stratum: As it is before this verdict; only read.
        sample: With all that was measured.
    """
    reasons, scores = [], dict(sample.scores)
    for stage, judged in _stages(spec):
        reason, explained = judged(spec, recipe, stratum, sample)
        scores |= explained
        if reason:
            reasons.append((stage, reason))
    stage, reason = reasons[0] if reasons else ("response", "")
    accepted = not reason
    return replace(
        sample,
        accepted=accepted,
        stage=stage,
        reason=reason,
        scores=scores,
        embedding=sample.embedding if accepted else (),
    )


def _stages(spec: FilterSpec) -> Iterator[tuple[str, Stage]]:
    yield "response", _response
    for name, stage in (("verifiable", _verifiable), ("rip", _rip), ("margin", _margin)):
        if name in spec.stages:
            yield name, stage
    yield "quota", _quota


def _response(
    spec: FilterSpec, recipe: str, stratum: Stratum, sample: SampleJudged
) -> tuple[str, Mapping[str, float]]:
    reward = sample.rewards[sample.chosen] if sample.chosen >= 0 else None
    threshold = stratum.rewards.quantile(spec.reward_quantile)
    scores: dict[str, float] = {}
    if reward is not None:
        scores["reward_rank"] = stratum.rewards.rank(reward)
    if threshold is not None:
        scores["reward_threshold"] = threshold
    answer = sample.messages[-1].content if sample.chosen >= 0 else ""
    reason = response_reason(
        answer,
        reward,
        limits=ResponseLimits(spec.min_response_words, spec.max_response_words),
        threshold=threshold,
        seen=stratum.rewards.count,
        may_refuse=recipe == "safety" and not is_benign(sample.requirement),
    )
    if recipe == "reasoning" and reason == "no_reward" and sample.rewards and not sample.answer:
        reason = "no_answer"
    if recipe == "reasoning" and reason in ("", "length", "repetitive", "reward_quantile"):
        reason = unfit_trace(spec, answer) or reason
    if reason in ("", "reward_quantile"):
        reason = _form(spec, recipe, sample, answer) or reason
    if not reason and recipe != "code":
        reason = language_reason(answer, spec.language)
    if "response" not in spec.stages and reason not in ("no_reward", "no_answer"):
        reason = ""
    return reason, scores


def _form(spec: FilterSpec, recipe: str, sample: SampleJudged, answer: str) -> str:
    """Return why a sample is none of its kind."""
    if recipe == "safety" and not is_benign(sample.requirement) and not is_refusal(answer):
        return "complied"
    if recipe == "conversation" and sample.scores.get("turns", 0) < spec.min_turns:
        return "short_conversation"
    if recipe == "pair":
        pair = pair_of(sample)
        if pair is None:
            return "no_rejected"
        if pair.gap <= 0:
            return "not_preferred"
    return ""


def _verifiable(
    spec: FilterSpec, recipe: str, stratum: Stratum, sample: SampleJudged
) -> tuple[str, Mapping[str, float]]:
    if recipe not in ("reasoning", "code"):
        return "", {}
    if sample.scores.get("agreement", 0.0) < spec.min_agreement:
        return "unverified", {}
    band, tried = success_band(spec), len(sample.student_responses)
    if not tried:
        return "no_rollouts", {}
    successes = round(sample.scores["success_rate"] * tried)
    place = band.decided(successes, tried)
    if place == "open":  # The rest was not worth its calls.
        place = "below" if 2 * successes < tried else "above"
    return {"inside": "", "below": "too_hard", "above": "too_easy"}[place], {}


def _rip(
    spec: FilterSpec, recipe: str, stratum: Stratum, sample: SampleJudged
) -> tuple[str, Mapping[str, float]]:
    pair = pair_of(sample)
    if pair is None:
        return "no_gap", {}
    q = spec.rip_quantile
    soft = q / 2
    verdict = rip_verdict(pair, stratum.pairs, RipBand(q, q, 1 - q, soft, soft, 1 - soft))
    if verdict.ranks is None:
        return verdict.reason, {}
    return verdict.reason, {
        "gap": pair.gap,
        "gap_rank": verdict.ranks.gap,
        "rejected_reward_rank": verdict.ranks.rejected_reward,
        "rejected_length_rank": verdict.ranks.rejected_length,
    }


def _margin(
    spec: FilterSpec, recipe: str, stratum: Stratum, sample: SampleJudged
) -> tuple[str, Mapping[str, float]]:
    pair = pair_of(sample)
    if pair is None:
        return "no_gap", {}
    q = spec.margin_quantile
    verdict = margin_verdict(pair, stratum.pairs, MarginBand(q, 1 - q, spec.max_length_ratio))
    if verdict.ranks is None:
        return verdict.reason, {}
    ratio = pair.chosen_length / max(1, pair.rejected_length)
    return verdict.reason, {
        "gap": pair.gap,
        "gap_rank": verdict.ranks.gap,
        "length_ratio": ratio,
    }


def _quota(
    spec: FilterSpec, recipe: str, stratum: Stratum, sample: SampleJudged
) -> tuple[str, Mapping[str, float]]:
    if stratum.room <= 0:
        return "quota_full", {}
    if recipe == "safety" and not is_benign(sample.requirement):
        # So that the share holds however the stratum ends: room is kept for what it lacks.
        harmful = stratum.accepted - stratum.benign + 1
        if harmful > (1 - spec.min_benign_share) * max(1, stratum.granted - stratum.released):
            return "benign_share", {}
    return "", {}
