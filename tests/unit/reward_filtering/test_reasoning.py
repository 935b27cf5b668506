"""The reasoning recipe: which attempt is taken, and when the student is asked."""

from dataclasses import dataclass, field, replace

from services.events import (
    ChatMessage,
    FilterSpec,
    Provenance,
    Requirement,
    SampleJudged,
)
from services.kinds import load_kinds
from services.reward_filtering.recipes.desk import Desk
from services.reward_filtering.recipes.reasoning import reasoned
from services.runtime.dry_runs import unrecorded
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Role

KIND = load_kinds()["reasoning"]
SHORT = "Six sevens are 42.\nAnswer: 42"
LONG = "Six and six are 12, " + ", ".join(f"then {n}" for n in range(40)) + ".\nAnswer: 42"
SAMPLE = SampleJudged(
    sample_id="s",
    dataset="d",
    stratum="r00",
    kind="reasoning",
    requirement=Requirement("r", "arithmetic", 2, "plain"),
    accepted=False,
    reason="",
    stage="",
    messages=(ChatMessage("user", "How much are six sevens?"),),
    provenance=Provenance("s", "g", "a"),
)


@dataclass
class Attempts:
    """A teacher of given attempts, whose longest one the judge likes best."""

    texts: tuple[str, ...]
    asked: list[Role] = field(default_factory=list)

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        self.asked.append(role)
        if role == "reward":
            shown = max((t for t in self.texts if t[:40] in request.messages[-1].content), key=len)
            liked = -1.0 / len(shown)
            verdict = Completion("yes", "length", {"yes": liked, "no": -5.0})
            return ChatAnswer((verdict,), "judge", 1, 1)
        texts = self.texts if role == "teacher" else (SHORT,) * request.n
        return ChatAnswer(tuple(Completion(text, "stop") for text in texts), "model", 1, 1)


async def made(model: Attempts, spec: FilterSpec) -> SampleJudged:
    async def no_code(solution: str, tests: str) -> str:
        raise AssertionError("a problem has no tests")

    unit = unrecorded(model).unit("verdict/s", "d/r00")
    return await reasoned(Desk(unit, JUDGE, spec, no_code), KIND, SAMPLE)


JUDGE = load_kinds()["safety"].prompts["judge"]
SPEC = replace(KIND.filter, responses=2, max_trace_words=30)


async def test_the_best_trace_that_is_short_enough_is_taken() -> None:
    attempts = Attempts((LONG, SHORT))
    found = await made(attempts, SPEC)
    assert found.rewards[0] > found.rewards[1]
    assert (found.chosen, found.messages[1].content) == (1, SHORT)
    assert "student" in attempts.asked
    found = await made(Attempts((LONG, SHORT)), replace(SPEC, max_trace_words=200))
    assert found.chosen == 0


async def test_the_student_is_not_asked_about_a_problem_without_a_fit_trace() -> None:
    attempts = Attempts((LONG, LONG + " "))
    found = await made(attempts, SPEC)
    assert found.chosen >= 0
    assert "student" not in attempts.asked
    # Unless nobody asks whether it is fit.
    found = await made(attempts, replace(SPEC, stages=("static", "verifiable")))
    assert "student" in attempts.asked
