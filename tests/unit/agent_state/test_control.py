"""The rule of the population: a simulated server is kept just saturated, and followed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.agent_state.control import (
    READINGS,
    SETTLING_SECONDS,
    STANDING,
    changed,
    decided,
    observed,
)
from services.agent_state.control_values import LEAST, Bounds, Control, Decision, Reading
from tests.unit.agent_state.plant import Plant

ALL = 10**9
BOUNDS = Bounds(1000, 5.0)


@dataclass(frozen=True)
class Second:
    """A second of a run."""

    busy: float
    """Share of the slots."""
    waiting: float
    """As share of the slots."""
    target: int
    active: int


@dataclass
class Run:
    """A society that is controlled for a while."""

    plant: Plant
    bounds: Bounds
    start: int
    events: Mapping[int, Callable[[Plant], None]]

    def seconds(self, until: int) -> list[Second]:
        """Run, and return what happened in each second."""
        plant, found = self.plant, []
        # Before the first reading, as in the product, the target is inside the bounds or will be.
        control, chance = Control(min(self.start, self.bounds.usable), 0.0), Random(1)
        plant.set_limit(control.target)
        for second in range(1, until + 1):
            if second in self.events:
                self.events[second](plant)
            busy, waited = plant.busy, plant.waited
            # Not always at the same time: where every call takes half a second, the queue would
            # always be seen at the same moment of the groups' phases.
            plant.run(second - chance.random())
            reading = Reading(plant.now, plant.running, plant.waiting)
            plant.run(float(second))
            share = 1 / plant.slots
            found.append(
                Second(
                    (plant.busy - busy) * share,
                    (plant.waited - waited) * share,
                    control.target,
                    plant.active,
                )
            )
            control = observed(control, reading)
            decision = decided(control, self.bounds)
            if decision is not None:
                control = changed(control, decision, plant.now)
                plant.set_limit(decision.target)
        return found


def run(
    slots: int,
    agents: int,
    start: int = 20,
    seconds: float = 1.0,
    spread: float = 0.5,
    line: float = 0.0,
    seed: int = 0,
    until: int = 150,
    events: Mapping[int, Callable[[Plant], None]] | None = None,
    least: int = 0,
    most: int | None = None,
) -> list[Second]:
    """Run a society of groups of 5 to 10; `line` is the share of the slots that the line takes."""
    random, sizes = Random(seed), list[int]()
    while sum(sizes) < agents:
        sizes.append(random.randint(5, 10))
    bounds = Bounds(sum(sizes), sum(sizes) / len(sizes), least, most)
    plant = Plant(slots, seconds, sizes, spread, line * slots / seconds, seed=seed)
    return Run(plant, bounds, start, events or {}).seconds(until)


def busy(seconds: list[Second]) -> float:
    return fmean(second.busy for second in seconds)


def waiting(seconds: list[Second]) -> float:
    return fmean(second.waiting for second in seconds)


@pytest.mark.parametrize("start", [20, ALL])
@pytest.mark.parametrize("line", [0.0, 0.3])
@pytest.mark.parametrize("slots", [128, 256, 1024])
def test_from_few_agents_and_from_all_the_server_becomes_just_saturated(
    slots: int, line: float, start: int
) -> None:
    steady = run(slots, 4 * slots, start, line=line)[60:]
    assert busy(steady) >= 0.95
    assert 0 < waiting(steady) <= 0.18  # On average, with bursts; 10 % is what may stand.


@settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    slots=st.integers(16, 1024),
    seconds=st.floats(0.5, 3.0),
    people=st.floats(2.5, 8.0),
    start=st.sampled_from([10, 20, 100, ALL]),
    spread=st.sampled_from([0.0, 0.5]),
    line=st.sampled_from([0.0, 0.2, 0.5]),
    seed=st.integers(0, 1000),
)
def test_whatever_the_server_and_the_society_the_backlog_stays_in_its_band_but_for_a_few_groups(
    slots: int, seconds: float, people: float, start: int, spread: float, line: float, seed: int
) -> None:
    agents = int(people * slots)
    steady = run(slots, agents, start, seconds, spread, line, seed, until=220)[120:]
    # Of few slots a group is a large share, and how many of its agents call at once is chance.
    assert busy(steady) >= 0.95 - 4 / slots
    assert waiting(steady) <= 0.10 + 12 / slots
    # No oscillation: the target stays where it is, but for a few groups and a third.
    targets = [second.target for second in steady]
    assert max(targets) <= 1.6 * min(targets) + 40


@pytest.mark.parametrize("factor", [2.0, 0.5])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slots", [128, 256])
def test_a_doubled_or_halved_server_is_followed_within_30_seconds(
    slots: int, seed: int, factor: float
) -> None:
    def resize(plant: Plant) -> None:
        plant.resize(int(factor * slots))

    found = run(slots, 6 * slots, seed=seed, until=180, events={100: resize})
    after = found[129:150]
    assert busy(after) >= 0.85
    assert waiting(after) <= 0.18
    later = found[150:]
    assert busy(later) >= 0.93
    assert 0 < waiting(later) <= 0.18


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slots", [128, 256])
def test_the_first_agents_of_all_are_soon_as_many_as_keep_the_server_busy(
    slots: int, seed: int
) -> None:
    found = run(slots, 4 * slots, start=slots, seconds=2.0, spread=0.7, seed=seed, until=32)
    # Of one agent a slot, each of whom waits for the slowest of its group, half are at a call.
    assert busy(found[10:]) >= 0.97
    assert busy(found) >= 0.90


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    limits=st.tuples(st.integers(LEAST, 400), st.integers(LEAST, 400)).map(sorted),
    start=st.integers(1, 600),
    slots=st.sampled_from([16, 64, 256]),
)
def test_the_target_never_leaves_its_limits_once_they_were_seen(
    limits: list[int], start: int, slots: int
) -> None:
    least, most = limits
    found = run(slots, 600, start, least=least, most=most, until=60)
    seen = found[1:]
    assert all(least <= second.target <= most for second in seen)


def test_of_contradictory_bounds_the_highest_counts_and_0_stops_all() -> None:
    assert Bounds(100, 5.0, least=50, most=20).within(30) == 20
    assert Bounds(100, 5.0, most=0).within(30) == 0
    control = Control(40, 0.0)
    assert decided(control, Bounds(100, 5.0, most=0)) == Decision(0, "limits")


def readings(control: Control, *loads: tuple[float, float]) -> Control:
    """Return the controller after readings of running and backlog, one a second."""
    at = max([control.changed_at + SETTLING_SECONDS, *(r.at + 1 for r in control.readings)])
    for number, (running, backlog) in enumerate(loads):
        control = observed(control, Reading(at + number, running, backlog))
    return control


def test_a_target_is_never_raised_above_the_agents_that_are_wanted() -> None:
    idle = readings(Control(100, 0.0), *[(5.0, 0.0)] * 10)
    assert decided(idle, Bounds(100, 5.0)) is None
    assert decided(idle, Bounds(60, 5.0)) is None
    assert decided(idle, Bounds(130, 5.0)) == Decision(130, "no backlog", 12.0)


def test_a_target_that_few_of_many_regions_want_is_kept_for_when_more_are_wanted() -> None:
    calm = readings(Control(500, 0.0, slots=64.0, known=True), *[(64.0, 4.0)] * 20)
    assert decided(calm, Bounds(100, 5.0)) is None
    # Too long a backlog counts from those who are active, not from the target.
    flooded = readings(Control(500, 0.0), *[(64.0, 64.0)] * STANDING)
    decision = decided(flooded, Bounds(100, 5.0))
    assert decision is not None
    assert decision.target < 60


def test_nothing_is_decided_of_readings_from_before_a_change_has_shown() -> None:
    control = changed(Control(100, 0.0), Decision(200, "no backlog"), now=10.0)
    for at in (10.0, 10.5, 10.9):
        assert observed(control, Reading(at, 1.0, 0.0)) == control


def test_what_moves_towards_the_band_is_waited_for() -> None:
    patient, hasty = Control(300, 0.0, patient_until=60.0), Control(300, 0.0)
    falling = [(64.0, 500.0 - 50 * second) for second in range(STANDING)]
    assert decided(readings(patient, *falling), BOUNDS) is None
    assert decided(readings(patient, *reversed(falling)), BOUNDS) is not None
    assert decided(readings(hasty, *falling), BOUNDS) is not None
    rising = [(20.0, 0.0), (30.0, 0.0), (40.0, 0.0)]
    assert decided(readings(patient, *rising), BOUNDS) is None
    assert decided(readings(patient, *reversed(rising)), BOUNDS) is not None


def test_a_backlog_is_not_shortened_twice_for_the_same_groups() -> None:
    long = readings(Control(400, 0.0), *[(64.0, 336.0)] * STANDING)
    first = decided(long, BOUNDS)
    assert first is not None
    assert first.target == 68  # 64 slots and 6 % of them, of agents with one call each
    parked = changed(long, first, now=10.0)
    assert decided(readings(parked, *[(64.0, 336.0)] * 10), BOUNDS) is None
    seen = readings(parked, *[(64.0, 150.0)] * STANDING)
    again = decided(seen, BOUNDS)
    assert again is not None
    assert again.target < 68


def test_a_burst_parks_nobody_and_what_stands_all_the_time_does() -> None:
    steady = readings(Control(100, 0.0, slots=64.0, known=True), *[(64.0, 4.0)] * STANDING)
    burst = readings(steady, *[(64.0, 80.0)] * (STANDING - 2), (64.0, 4.0), (64.0, 80.0))
    assert decided(burst, BOUNDS) is None
    stands = readings(steady, *[(64.0, 80.0)] * STANDING)
    decision = decided(stands, BOUNDS)
    assert decision is not None
    assert decision.target < 100


def settled(target: int = 300) -> Control:
    """Return a controller that had too many agents once, for a server of 256 slots."""
    return Control(target, 0.0, slots=256.0, known=True, filled=256.0)


def test_many_free_slots_are_filled_at_once_and_a_few_when_they_stay_free() -> None:
    decision = decided(readings(settled(), (196.0, 0.0)), BOUNDS)
    assert decision == Decision(300 + 80, "slots are free", 12.0)  # 60 slots, of 3/4 of a call each
    few = [(236.0, 0.0)] * 4
    assert decided(readings(settled(), *few[:3]), BOUNDS) is None
    assert decided(readings(settled(), *few), BOUNDS) == Decision(325, "slots are free", 12.0)


def test_slots_that_chance_leaves_free_now_and_then_are_no_lack_of_agents() -> None:
    by_turns = [(236.0, 0.0), (256.0, 12.0)] * 10
    assert decided(readings(settled(), *by_turns), BOUNDS) is None


def test_slots_that_are_free_while_calls_wait_are_none_that_agents_would_fill() -> None:
    narrow = readings(settled(), (256.0, 16.0), (128.0, 90.0), (128.0, 90.0))
    assert decided(narrow, BOUNDS) is None


def test_until_there_were_enough_once_two_agents_are_taken_for_a_slot() -> None:
    first = Control(256, 0.0, slots=256.0, known=True)
    decision = decided(readings(first, (256.0, 100.0), (230.0, 0.0)), BOUNDS)
    assert decision is not None
    assert decision.target == 512
    again = readings(changed(first, decision, now=10.0), (226.0, 0.0))
    assert decided(again, BOUNDS) == Decision(512 + 60, "slots are free", 12.0)
    # From the first time on that there were too many, what is known of them counts.
    long = readings(first, *[(256.0, 200.0)] * STANDING)
    fewer = decided(long, BOUNDS)
    assert fewer is not None
    assert changed(long, fewer, now=10.0).filled == 256.0


def test_of_a_server_that_became_much_larger_nobody_knows_how_many_agents_it_takes() -> None:
    larger = readings(settled(), (512.0, 20.0), (460.0, 0.0))
    assert decided(larger, BOUNDS) == Decision(600, "slots are free", 12.0)  # Twice as many at most
    known = readings(replace(settled(), filled=512.0), (512.0, 20.0), (460.0, 0.0))
    assert decided(known, BOUNDS) is None


def test_what_was_known_of_a_server_that_became_smaller_counts_no_more() -> None:
    control = replace(settled(), awaited=200.0, patient_until=100.0)
    before = readings(control, *[(256.0, 20.0)] * READINGS)
    after = readings(before, *[(128.0, 148.0)] * READINGS)
    assert after.slots == 128.0
    assert after.awaited is None
    assert [r.running for r in after.readings] == [128.0] * READINGS


def test_the_slots_are_as_many_as_run_while_others_wait() -> None:
    assert readings(Control(50, 0.0), (40.0, 0.0)).slots is None
    full = readings(Control(50, 0.0), (40.0, 0.0), (64.0, 3.0), (60.0, 0.0))
    assert full.slots == 64.0
    # One reading that says less may be chance; three in a row are a smaller server.
    assert readings(full, (32.0, 9.0)).slots == 64.0
    assert readings(full, *[(32.0, 9.0)] * READINGS).slots == 32.0
    # More than there were, and nothing waits: nobody knows how many more.
    assert readings(full, (90.0, 0.0)).slots is None
    assert readings(full, (90.0, 1.0)).slots == 90.0


def test_a_process_that_has_no_time_gets_no_more_agents() -> None:
    late = Control(100, 0.0)
    for second in range(1, 6):
        late = observed(late, Reading(float(second), 20.0, 0.0, late=0.5))
    assert decided(late, BOUNDS) is None
    for second in range(6, 9):
        late = observed(late, Reading(float(second), 20.0, 0.0, late=0.01))
    assert decided(late, BOUNDS) is not None
    flooded = Control(400, 0.0)
    for second in range(1, STANDING + 1):
        flooded = observed(flooded, Reading(float(second), 64.0, 300.0, late=0.5))
    assert decided(flooded, BOUNDS) is not None
