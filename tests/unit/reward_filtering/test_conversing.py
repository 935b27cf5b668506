"""A conversation ends when its need is met, or when nothing new is said."""

from collections.abc import Sequence

import pytest

from services.events import ChatMessage, FilterSpec, Provenance, Requirement, SampleJudged
from services.kinds import load_kinds
from services.reward_filtering.recipes.conversing import conversed, echo
from services.reward_filtering.recipes.desk import Desk
from services.runtime.dry_runs import unrecorded
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Role

KIND = load_kinds()["multi_turn"]
FIRST = "Which yeast do I take for a bread that rises over night?"
ANSWERS = (
    "Take a tiny amount of fresh yeast, about two grams, and let the dough rise in the fridge.",
    "In a warm kitchen five hours are enough, but the taste is better after a cold night.",
    "Then salt it a little more and bake it hot, with a bowl of water in the oven for steam.",
)
REPLIES = ("My fridge is broken. How long does it take on the table?", "And if I like it sour?")


class Script:
    """A person and an assistant who say one line after the other; the judge likes the longest."""

    def __init__(self, replies: Sequence[str], answers: Sequence[Sequence[str]]) -> None:
        self.replies = list(replies)
        self.answers = list(answers)

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        if stage == "judge":
            told = {"Yes": -10.0 / len(request.scored[-1].content), "No": -3.0}
            return ChatAnswer((Completion("Yes", "length", told),), "judge", 1, 1)
        said = (self.replies.pop(0),) if stage == "reply" else self.answers.pop(0)
        return ChatAnswer(tuple(Completion(text, "stop") for text in said), "m", 1, 1)


async def said(replies: Sequence[str], answers: Sequence[Sequence[str]]) -> list[str]:
    async def no_code(solution: str, tests: str) -> str:
        raise AssertionError("nothing is to be run")

    unit = unrecorded(Script(replies, answers)).unit("verdict/c", "d/r00")
    judge = load_kinds()["safety"].prompts["judge"]
    sample = SampleJudged(
        sample_id="c",
        dataset="d",
        stratum="r00",
        kind="multi_turn",
        requirement=Requirement("r000", "cook", 1, "plain"),
        accepted=False,
        reason="",
        stage="",
        messages=(ChatMessage("user", FIRST),),
        provenance=Provenance("s", "g", "a", persona="Ada, a baker"),
    )
    made = await conversed(Desk(unit, judge, FilterSpec(max_turns=3), no_code), KIND, sample)
    assert made.scores["turns"] == len(made.messages) // 2 == len(made.rewards)
    assert len({message.content for message in made.messages}) == len(made.messages)
    return [message.content for message in made.messages]


async def test_it_goes_on_while_both_have_something_to_say() -> None:
    one, two, three = ANSWERS
    assert await said(REPLIES, [[one], [two], [three]]) == [
        FIRST,
        one,
        REPLIES[0],
        two,
        REPLIES[1],
        three,
    ]


@pytest.mark.parametrize(
    "reply",
    [
        "DONE",
        "",
        FIRST,
        "I let the dough rise in the fridge, with a tiny amount of fresh yeast, about two grams.",
    ],
)
async def test_it_ends_when_the_person_is_done_or_only_repeats(reply: str) -> None:
    assert await said([reply], [[ANSWERS[0]]]) == [FIRST, ANSWERS[0]]


async def test_an_answer_that_repeats_is_not_taken_and_without_another_it_ends() -> None:
    one, two, _ = ANSWERS
    longer = f"Well. {one}"
    assert await said([REPLIES[0], "Done."], [[one], [longer, two]]) == [
        FIRST,
        one,
        REPLIES[0],
        two,
    ]
    assert await said([REPLIES[0]], [[one], [longer]]) == [FIRST, one]


def test_an_echo_is_the_share_of_runs_that_were_said() -> None:
    assert echo("a b c d e", ["x a b c d y"]) == 0.5
    assert echo("A, b; c d!", ["a b", "c d", "so a b c d"]) == 1.0
    assert echo("a b c", ["a b c"]) == 0.0  # Too short to tell.
    assert echo("", []) == 0.0
    changed = " ".join([*ANSWERS[0].split()[:-4], "rest", "on", "the", "table"])
    assert 0.5 < echo(changed, [ANSWERS[0]]) < 0.8
