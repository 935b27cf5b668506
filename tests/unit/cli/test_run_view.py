"""What a run shows while it works, and at its end."""

import io
import re
from collections import Counter

import pytest
from rich.console import Console, RenderableType

from services.cli.live import RunView
from services.cli.summary import summary
from services.cli.wording import clock, duration, tally
from services.local.platform import Outcome
from services.local.progress import Progress


def lines(shown: RenderableType, width: int) -> list[str]:
    target = io.StringIO()
    Console(file=target, width=width, force_terminal=True, no_color=True).print(shown)
    return [re.sub(r"\x1b\[[\d;]*m", "", line) for line in target.getvalue().splitlines()]


def words(shown: RenderableType, width: int = 80) -> str:
    return " ".join(" ".join(lines(shown, width)).replace("│", " ").split())


def at_work(**counts: int) -> Progress:
    progress = Progress(phase="working", dataset="sft", model="Qwen/Qwen3-8B [awq]", started=0.0)
    progress.size, progress.in_flight = 400, lambda: 64
    society = progress.metrics.society
    society.agents, society.born, society.groups = 60, 42, 12
    for name, count in counts.items():
        setattr(progress, name, count)
    return progress


def after(progress: Progress, accepted: dict[float, int]) -> RunView:
    """Return the view of a run that had so many accepted samples at these seconds."""
    view = RunView(progress)
    for second, count in accepted.items():
        progress.accepted = progress.judged = count
        view.tick(second)
    return view


def test_until_there_are_samples_a_line_tells_of_the_society_and_the_model() -> None:
    progress = at_work(steps=7, scenarios=2, active=37)
    view = RunView(progress)
    view.tick(0.0)
    progress.metrics.model.calls["simulator", "act"] = 40
    progress.metrics.model.prompt_tokens["simulator", "act"] = 9_000
    progress.metrics.model.completion_tokens["simulator", "act"] = 1_000
    view.tick(10.0)
    told = "42/60 agents born, 37 of 60 agents active, 7 steps, 2 scenarios, 64 calls in flight"
    assert view.line() == f"0:10 {told}, 1,000 tokens/s"


def test_then_a_line_tells_of_the_samples_and_of_what_went_wrong() -> None:
    progress = at_work()
    view = after(progress, {10.0: 0, 70.0: 61})
    progress.rejected = Counter(length=7)
    assert view.line() == "1:10 61/400 samples, 7 rejected, 64 calls in flight, 0 tokens/s"
    progress.metrics.model.retries.update({"HTTP 503": 3, "time-out": 1})
    progress.metrics.model.malformed["route"] = 2
    progress.metrics.model.refused["birth"] = 1
    assert view.line().endswith("0 tokens/s, 4 retried, 1 refused, 2 malformed")


def test_before_the_work_begins_a_line_and_the_panel_tell_the_phase() -> None:
    progress = Progress(phase="importing profiles", dataset="sft", started=0.0)
    view = RunView(progress)
    view.tick(5.0)
    assert view.line() == "0:05 importing profiles, 0 calls in flight, 0 tokens/s"
    assert "matrix run · sft · importing profiles · 0:05" in words(view.panel())
    assert "0 of 0" not in words(view.panel())


@pytest.mark.parametrize(
    ("accepted", "left"),
    [
        ({0.0: 0, 60.0: 0}, ""),
        ({0.0: 0, 60.0: 10}, ""),
        ({0.0: 0, 60.0: 10, 70.0: 20}, "6 min"),  # the minute before is no part of the pace
        ({0.0: 0, 60.0: 10, 100.0: 20, 150.0: 100}, "5 min"),
        ({0.0: 0, 60.0: 10, 70.0: 20, 80.0: 20}, "13 min"),  # nothing new: slower
        ({0.0: 0, 60.0: 399, 3660.0: 400}, "1 s"),
    ],
)
def test_the_time_left_follows_from_the_pace_since_the_first_samples(
    accepted: dict[float, int], left: str
) -> None:
    line = after(at_work(), accepted).line()
    assert line.endswith(f", {left} left") if left else "left" not in line


def test_what_earlier_runs_made_is_no_pace_of_this_one() -> None:
    progress = at_work(accepted_before=200)
    view = after(progress, {0.0: 0, 1.0: 200, 30.0: 200, 60.0: 201})
    assert "left" not in view.line()
    view = after(progress, {0.0: 0, 1.0: 200, 30.0: 210, 60.0: 310})
    assert view.line().endswith(", 27 s left")


@pytest.mark.parametrize("width", [80, 140])
def test_the_panel_shows_everything_uncut(width: int) -> None:
    progress = at_work(steps=1_130, scenarios=340, claimed=1_710, resting=2, parked=1, active=37)
    progress.metrics.society.target = 40
    model, society = progress.metrics.model, progress.metrics.society
    model.retries.update({"HTTP 503": 12_345, "broken connection": 678, "unreadable answer": 9})
    model.malformed.update({"route": 3, "plausibility": 1})
    model.refused.update({"birth": 6})
    society.actions.update({"plan": 600, "react": 4_490})
    model.calls["simulator", "act"] = 40
    society.routed, society.deliveries = 100, 112
    progress.rejected = Counter(reward_quantile=200, repetitive=10, near_duplicate=9, length=8)
    panel = after(progress, {0.0: 0, 60.0: 10, 70.0: 50}).panel()
    shown = words(panel, width)
    for told in (
        "50 of 400 accepted, about 88 s left",
        "200 reward_quantile, 10 repetitive, 9 near_duplicate, 8 length",
        "1,710, 1,660 of them in work",
        "340 from 1,130 steps",
        "42 of 60 born; 12 groups: 9 active, 2 resting, 1 parked",
        "37 of 60 agents active, as the model server allows 40",
        "4,490 react, 600 plan; 1.12 deliveries per action",
        "Qwen/Qwen3-8B [awq]",
        "40 calls, 0.0/s, 0 tokens/s, 64 in flight",
        "retries 12,345 HTTP 503, 678 broken connection, 9 unreadable answer",
        "refused 6 birth",
        "malformed 4 answers without the form asked for: 3 route, 1 plausibility",
    ):
        assert told in shown
    assert "…" not in shown
    assert {len(line) for line in lines(panel, width)} == {min(width, 96)}


def test_the_table_at_the_end_keeps_what_there_is_apart_from_what_this_run_did() -> None:
    progress = at_work(steps=31, scenarios=14, accepted_before=12)
    progress.metrics.model.calls["simulator", "act"] = 1_234
    progress.metrics.model.retries["HTTP 503"] = 5
    progress.metrics.model.malformed["route"] = 2
    progress.rejected = Counter(length=3)
    shown = words(summary(progress, Outcome("sft", accepted=12, size=12, added=4)))
    dataset, _, this_run = shown.partition("this run")
    assert "sft: 12 of 12 samples" in dataset
    assert "31 steps, 14 scenarios" in dataset
    assert this_run.startswith(" added 4 of them in ")
    assert "1,234 by Qwen/Qwen3-8B [awq]" in this_run
    assert "retries 5 HTTP 503" in this_run
    assert "refused none" in this_run
    assert "malformed 2 answers without the form asked for: 2 route" in this_run


def test_numbers_are_worded_for_people() -> None:
    assert [duration(s) for s in (0.2, 89, 91, 5_000, 7_500)] == [
        *("1 s", "89 s", "2 min", "83 min", "2 h 05 min")
    ]
    assert [clock(s) for s in (0, 59.9, 60, 3_600, 36_061)] == [
        *("0:00", "0:59", "1:00", "1:00:00", "10:01:01")
    ]
    assert tally(Counter()) == ""
    assert tally(Counter(a=1_000, b=2, c=1, d=1), most=2) == "1,000 a, 2 b, 2 others"
