"""An agent's turns and memory, and what is made of a model's words about its life."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agent_state.domain import (
    MEMORIES_KEPT,
    MEMORIES_RECALLED,
    PLAN_STEPS,
    Agent,
    Memory,
    Turn,
    after_turn,
    new_memories,
    next_turn,
    parse_birth,
    parse_plan,
    recall,
    remember,
)
from services.events import Action, Observation
from services.runtime.vectors import quantised

PLAN = ("Ask Tom for his oven", "Bake a rye loaf", "Sell it on Sunday")
ANNA = Agent("a1", "Anna", "Baker", "Anna bakes bread.", plan=PLAN)
HEARD = (
    Observation("m1", "a2", "Tom", "Tom lights the oven."),
    Observation("m2", "a3", "Ida", "Ida asks for rye."),
)


def acted(kind: str) -> Action:
    return Action("x1", "a1", "Anna", kind, 1, "Anna kneads the dough.")


# Turns


@pytest.mark.parametrize("done", [0, len(PLAN)])
def test_an_agent_with_observations_reacts_to_all_of_them(done: int) -> None:
    turn = next_turn(replace(ANNA, plan_done=done), HEARD)
    assert turn is not None
    assert (turn.kind, turn.observations) == ("react", HEARD)
    assert turn.query == "Tom lights the oven. Ida asks for rye."


@pytest.mark.parametrize("done", [0, 1, 2])
def test_an_agent_that_observed_nothing_takes_its_next_plan_step(done: int) -> None:
    turn = next_turn(replace(ANNA, plan_done=done), ())
    assert turn is not None
    assert (turn.kind, turn.observations) == ("plan", ())
    assert turn.query == PLAN[done]


@pytest.mark.parametrize("agent", [replace(ANNA, plan_done=3), replace(ANNA, plan=())])
def test_an_agent_without_a_step_left_rests_until_it_observes(agent: Agent) -> None:
    assert next_turn(agent, ()) is None
    assert next_turn(agent, HEARD) is not None


def test_an_agent_left_alone_goes_through_its_plan_and_rests() -> None:
    agent, taken = ANNA, []
    while (turn := next_turn(agent, ())) is not None:
        taken.append(turn.query)
        agent = after_turn(turn)
    assert tuple(taken) == PLAN


def test_a_reaction_leaves_the_plan_where_it_was() -> None:
    agent = replace(ANNA, plan_done=1)
    assert after_turn(Turn(agent, "react", HEARD)) == agent


def test_others_know_persona_and_goal_but_neither_plan_nor_memories() -> None:
    agent = replace(ANNA, personality="Calm.", goal="To bake.", memories=(Memory("secret", 0),))
    card = agent.card()
    assert (card.agent_id, card.name, card.headline) == ("a1", "Anna", "Baker")
    assert (card.persona, card.goal) == ("Anna bakes bread. Calm.", "To bake.")
    assert "secret" not in repr(card)
    assert PLAN[0] not in repr(card)


# Memory


def vector(*direction: float) -> list[float]:
    """As an embedding model spreads a direction over many small numbers."""
    return [part / 4 for part in direction for _ in range(16)]


def at(step: int, *direction: float) -> Memory:
    return Memory(f"step {step}: {direction}", step, quantised(vector(*direction)))


def test_a_relevant_old_memory_beats_an_irrelevant_recent_one() -> None:
    old, recent = at(0, 0.6, 0.8), at(20, 0.8, -0.6)
    assert recall([old, recent], vector(0.6, 0.8), step=20, limit=1) == (old,)


def test_of_equally_relevant_memories_the_more_recent_is_recalled() -> None:
    memories = [at(step, 0.6, 0.8) for step in (3, 4, 5)]
    assert recall(memories, vector(0.6, 0.8), step=6, limit=1) == (memories[2],)


def test_a_little_more_relevance_does_not_outweigh_many_steps() -> None:
    old, recent = at(0, 0.6, 0.8), at(20, 0.8, 0.6)
    assert recall([old, recent], vector(0.6, 0.8), step=20, limit=1) == (recent,)


def test_the_opposite_is_as_irrelevant_as_the_unrelated() -> None:
    memories = [at(5, 0.8, -0.6), at(6, -0.6, -0.8)]
    assert recall(memories, vector(0.6, 0.8), step=6, limit=1) == (memories[1],)


def test_what_is_recalled_is_told_oldest_first() -> None:
    memories = [at(1, 1, 0), at(2, 0, 1), at(3, 0, 1), at(4, 0, 1)]
    assert recall(memories, vector(1, 0), step=4, limit=2) == (memories[0], memories[3])
    assert len(recall(memories, vector(1, 0), step=4)) == MEMORIES_RECALLED


def test_of_memories_of_one_step_the_later_is_recalled() -> None:
    memories = [Memory(text, 2) for text in ("first", "second", "third")]
    assert recall(memories, (), step=2, limit=2) == tuple(memories[1:])


@pytest.mark.parametrize(
    ("query", "memories"),
    [
        ((0.0, 0.0), [at(1, 1, 0), at(2, 0, 1), at(3, 1, 0)]),
        ((1.0, 0.0), [at(1, 0, 0), at(2, 0, 0), at(3, 0, 0)]),
        ((1.0, 0.0), [at(1), at(2), at(3)]),
        ((), [at(1), at(2), at(3)]),
        ((), [at(1, 1, 0), at(2, 1, 0), at(3, 1, 0)]),
    ],
)
def test_without_a_direction_to_compare_the_most_recent_are_recalled(
    query: tuple[float, ...], memories: list[Memory]
) -> None:
    assert recall(memories, vector(*query), step=3, limit=2) == (memories[1], memories[2])


MEMORIES = st.lists(
    st.builds(Memory, st.text(max_size=3), st.integers(0, 30), st.binary(min_size=3, max_size=3)),
    max_size=30,
)


@given(MEMORIES, st.integers(0, 40), st.integers(0, 9))
def test_recall_gives_as_many_as_there_are_up_to_the_limit_in_their_order(
    memories: list[Memory], step: int, limit: int
) -> None:
    recalled = recall(memories, (0.6, 0.0, 0.8), step, limit)
    assert len(recalled) == min(limit, len(memories))
    rest = iter(memories)
    assert all(any(memory is other for other in rest) for memory in recalled)


@given(st.lists(MEMORIES, max_size=12))
def test_memory_stays_bounded_and_nothing_falls_between(turns: list[list[Memory]]) -> None:
    agent, summarised = ANNA, list[Memory]()
    for memories in turns:
        before = agent.memories
        agent, older = remember(agent, memories)
        assert len(agent.memories) <= MEMORIES_KEPT
        assert (*older, *agent.memories) == (*before, *memories)
        assert not older or len(agent.memories) == MEMORIES_KEPT // 2
        summarised += older
    assert [*summarised, *agent.memories] == [memory for turn in turns for memory in turn]


def test_nothing_is_summarised_before_the_memory_is_full() -> None:
    full, older = remember(ANNA, [at(step) for step in range(MEMORIES_KEPT)])
    assert (len(full.memories), older) == (MEMORIES_KEPT, ())
    assert remember(full, []) == (full, ())
    _, older = remember(full, [at(99)])
    assert [memory.step for memory in older] == list(range(MEMORIES_KEPT // 2 + 1))


def test_a_turn_is_remembered_as_what_was_observed_and_then_done() -> None:
    heard = ["Tom: Tom lights the oven.", "Ida: Ida asks for rye."]
    done = "I: Anna kneads the dough."
    assert new_memories(Turn(ANNA, "react", HEARD), acted("react")) == [*heard, done]
    assert new_memories(Turn(ANNA, "react", HEARD), None) == heard
    assert new_memories(Turn(ANNA, "plan"), acted("plan")) == [done]
    assert new_memories(Turn(ANNA, "plan"), None) == []


# A model's words


@pytest.mark.parametrize(
    "line",
    [
        "1. Bake a rye loaf",
        "12) Bake a rye loaf",
        "(3) Bake a rye loaf",
        "4 - Bake a rye loaf",
        "5: Bake a rye loaf",
        "Step 6: Bake a rye loaf",
        "### STEP 7: Bake a rye loaf",
        "  - Bake a rye loaf  ",
        "* Bake a rye loaf",
        "•Bake a rye loaf",
        "\u2013 Bake a rye loaf",
        "- 1. Bake a rye loaf",
        "**1.** Bake a rye loaf",
        "1. **Bake a rye loaf**",
        "2. *Bake a rye loaf*",
        "**3. Bake** a rye __loaf__",
        "Bake a rye loaf",
        "**Bake a rye loaf**",
    ],
)
def test_numbers_bullets_and_bold_are_no_part_of_a_step(line: str) -> None:
    assert parse_plan(line) == ("Bake a rye loaf",)


@pytest.mark.parametrize(
    "step",
    [
        "3 times a week, call Tom",
        "2024 books to be sorted",
        "1.5 litres of water a day",
        "7:30 coffee with Tom",
        "20-minute walk along the harbour",
        "Ask Tom: is there rye?",
    ],
)
def test_numbers_that_belong_to_a_step_stay(step: str) -> None:
    assert parse_plan(f"{step}\nSell it on Sunday") == (step, "Sell it on Sunday")
    assert parse_plan(f"1. {step}\n2. Sell it on Sunday") == (step, "Sell it on Sunday")


def test_what_a_model_says_around_its_list_is_no_step() -> None:
    steps = "".join(f"{number}. {step}\n" for number, step in enumerate(PLAN, 1))
    talk = f"# A plan for Anna\nSure, here is the plan:\n\n{steps}\nGood luck with all of that!"
    assert parse_plan(talk) == PLAN
    assert parse_plan("Here is the plan:\n" + "\n".join(PLAN)) == PLAN


@pytest.mark.parametrize("text", ["", "  \n\t\n", "1.\n2.\n3.", "---\n***\n###", "I refuse.", "8."])
def test_words_without_a_step_are_no_plan(text: str) -> None:
    assert parse_plan(text) == ()


def test_of_a_hundred_lines_the_first_steps_are_the_plan() -> None:
    text = "\n".join(f"{number}. Bake loaf number {number}" for number in range(1, 101))
    assert parse_plan(text) == tuple(f"Bake loaf number {n}" for n in range(1, PLAN_STEPS + 1))


@pytest.mark.parametrize(
    "text",
    [
        "Personality: Calm: slow to anger.\nLife goal: To bake.",
        "PERSONALITY:  Calm: slow to anger.\r\nLIFE GOAL:To bake.\r\n",
        "personality: Calm: slow to anger.\ngoal: To bake.",
        "**Personality:** Calm: slow to anger.\n**Life goal:** To bake.",
        "**Personality**: Calm: slow to anger.\n\n**Life Goal**: **To bake.**",
        "*Personality:* Calm: slow to anger.\n*Life goal:* *To bake.*",
        "1. Personality: Calm: slow to anger.\n2. Life goal: To bake.",
        "- Personality: Calm: slow to anger.\n- Life goal: To bake.",
        "## Personality:\nCalm: slow to anger.\n\n## Life goal:\nTo bake.",
        "Life goal: To bake.\nPersonality: Calm: slow to anger.",
        "Personality: Calm: slow to anger. Life goal: To bake.",
        "Sure!\nPersonality: Calm: slow to anger.\nLife goal: To bake.\nShe is happy.",
        "Personality: Calm: slow to anger.\nLife goal: To bake.\nPersonality: Wild.\nGoal: To go.",
    ],
)
def test_labels_are_found_however_they_are_written(text: str) -> None:
    assert parse_birth(text) == ("Calm: slow to anger.", "To bake.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I want to bake\nfor  the\twhole town.", ("", "I want to bake for the whole town.")),
        ("Scoring the winning goal was my dream.", ("", "Scoring the winning goal was my dream.")),
        ("Goal: To bake.", ("", "To bake.")),
        ("Personality: Calm.", ("Calm.", "")),
        ("Personality:\nLife goal:", ("", "")),
        ("", ("", "")),
        (" \n ", ("", "")),
    ],
)
def test_words_without_labels_are_the_goal_and_missing_ones_are_empty(
    text: str, expected: tuple[str, str]
) -> None:
    assert parse_birth(text) == expected


PIECES = "Personality: |Life goal:|goal:|1. |- |**|*|_|# |\t|\n|\r\n|\u2028|Bake a loaf|</goal>|: "
MESSY = st.lists(st.sampled_from(PIECES.split("|")) | st.text(max_size=8)).map("".join)


@given(MESSY)
def test_whatever_a_model_says_steps_and_goals_are_single_clean_lines(text: str) -> None:
    plan = parse_plan(text)
    assert len(plan) <= PLAN_STEPS
    for line in (*plan, *parse_birth(text)):
        assert line == " ".join(line.split())
    assert all(len(step.split()) >= 3 for step in plan)
