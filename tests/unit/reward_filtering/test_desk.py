"""Who is told how long a response is to be: the teacher when it answers, and nobody else."""

import pytest

from services.events import FilterSpec
from services.kinds import load_kinds
from services.reward_filtering.recipes.desk import Desk, Policy
from services.runtime.dry_runs import unrecorded
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Message, Role

ASKED = Message("user", "How do I bake bread?")
TOLD = "Answer in 50 to 300 words, in the language of the message."


class Recording:
    """A model that says one thing, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Message, ...]] = []

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request.messages)
        return ChatAnswer((Completion("Knead it.", "stop"),), "model", 1, 1)


async def sent(
    tell: bool, *messages: Message, policy: Policy = "teacher", stage: str = "response"
) -> tuple[Message, ...]:
    """Return what the model is sent for these messages."""

    async def run_tests(solution: str, tests: str) -> str:
        raise AssertionError("nothing is to be run")

    model = Recording()
    judge = load_kinds()["safety"].prompts["judge"]
    spec = FilterSpec(min_response_words=50, max_response_words=300, tell_response_words=tell)
    desk = Desk(unrecorded(model).unit("candidate", "d/r00"), judge, spec, run_tests)
    assert await desk.texts("responses", policy, messages, 1, stage) == ["Knead it."]
    (asked,) = model.asked
    return asked


async def test_a_teacher_is_told_the_length_in_a_system_message() -> None:
    assert await sent(True, ASKED) == (Message("system", TOLD), ASKED)


async def test_the_length_follows_what_the_prompt_of_the_kind_says() -> None:
    kind = Message("system", "You solve problems step by step.")
    together = Message("system", f"{kind.content}\n{TOLD}")
    assert await sent(True, kind, ASKED) == (together, ASKED)


@pytest.mark.parametrize(
    ("tell", "policy", "stage"),
    [
        (False, "teacher", "response"),
        (True, "student", "rollout"),
        (True, "teacher", "tests"),
    ],
)
async def test_nobody_else_is_told(tell: bool, policy: Policy, stage: str) -> None:
    assert await sent(tell, ASKED, policy=policy, stage=stage) == (ASKED,)
