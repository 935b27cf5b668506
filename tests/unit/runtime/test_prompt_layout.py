"""Prompts begin with what they share: servers reuse the beginning of a prompt from call to call.

First what all calls share (role, rules, worked example), then what a group shares, then the person,
then what happens.
"""

import os.path
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import services
from services.kinds import load_kinds
from services.runtime.prompts import Prompt, as_text, load_prompts

PROMPTS: dict[str, Prompt] = {
    f"{folder.parent.name}/{name}": prompt
    for folder in sorted(Path(services.__file__).parent.glob("*/prompts"))
    for name, prompt in load_prompts(folder).items()
} | {
    f"{kind.name}/{name}": prompt
    for kind in load_kinds().values()
    for name, prompt in kind.prompts.items()
}
SHARED = 100
"""Characters that all calls of a prompt begin with, at least: role and rules. Prompts have more."""
SHARED_WITH_EXAMPLE = 300
"""The same for prompts with a worked example."""
CLOSING = 130
"""Characters after the data, at most: the question, and no rules."""
NAMES = (
    "name persona description goal summary text plan_step memories observations past_actions people"
    " groups memory actions category style complexity language instruction response turns"
).split()
"""What prompts are filled with; `steps` is the same for all."""


class Anything(str):
    """A short text that also passes for a list of such texts, and for a record of them."""

    def __getattr__(self, name: str) -> "Anything":
        return self

    def __getitem__(self, place: Any) -> Any:
        return [self] if isinstance(place, slice) else self

    def __iter__(self) -> Iterator[str]:
        return iter([self])


def shown(name: str, changed: dict[str, str]) -> str:
    """A prompt as one text, with some of its data changed."""
    told = {name: Anything(f"their {name}") for name in NAMES}
    told |= {name: Anything(text) for name, text in changed.items()}
    return as_text(PROMPTS[name].render(steps=8, **told))


def shared(name: str, *changed: str, empty: bool = False) -> str:
    """How a prompt begins whatever the data called `changed` are."""
    other = dict.fromkeys(changed, "" if empty else "Xerxes")
    return os.path.commonprefix([shown(name, {}), shown(name, other)])  # noqa: RUF071 - no paths


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("name", PROMPTS)
def test_role_rules_and_worked_example_come_before_all_data(name: str, empty: bool) -> None:
    turns = PROMPTS[name].render(steps=8, **{each: Anything("theirs") for each in NAMES})
    before = shared(name, *NAMES, empty=empty)
    assert before.startswith(as_text(turns[:-1]))
    assert len(before) >= (SHARED_WITH_EXAMPLE if len(turns) > 2 else SHARED)


@pytest.mark.parametrize("name", PROMPTS)
def test_after_the_data_comes_a_short_question_only(name: str) -> None:
    assert len(shown(name, {}).rpartition("</")[2].partition(">")[2].strip()) <= CLOSING


@pytest.mark.parametrize(
    ("name", "event", "kept"),
    [
        # Actions of one step share all but the action, steps share the group's lists.
        ("message_modulation/route", ["name", "text"], "a few words.\n\n<action>"),
        ("message_modulation/route", ["name", "text", "memory", "summary"], "</groups>"),
        ("message_modulation/route", ["name", "text", "memory", "summary", "groups"], "</people>"),
        # Turns of one person share who it is, and what lasts longer comes first.
        ("agent_state/act", ["observations"], "their memories\n</memories>"),
        ("agent_state/act", ["observations", "memories"], "their summary\n"),
        ("agent_state/act", ["observations", "memories", "summary"], "Goal: their goal"),
        # Requests of one person share who it is; of one scenario, that one too.
        ("sft/instruction", ["summary", "actions"], "their persona\n</persona>"),
        ("sft/instruction", ["category", "style", "complexity"], "</scenario>"),
        # Answers to one question share it; conversations grow at their end.
        ("reward_filtering/judge", ["response"], "</question>"),
        ("safety/judge", ["response"], "</request>"),
        ("multi_turn/reply", ["turns"], "</persona>"),
    ],
)
def test_what_changes_more_often_comes_later(name: str, event: list[str], kept: str) -> None:
    assert kept in shared(name, *event)
