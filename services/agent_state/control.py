"""How many agents are to be active so that the model server is just saturated: the rule.

All calls that exist, `q = running + backlog`, are those of the active agents and those of the line.
An agent has at most one call at a time, so that one more active agent brings `g0 <= 1` more calls,
and since `q = g0 * active + line`,

    g = min(1, q / active)

is never less than `g0`. A change of the target by `(aim - q) / g` therefore goes in the right
direction and not beyond the aim: it closes the share `g0 / g` of the gap, nearly all of it where
the line is quiet. Growth counts with no less than `g = 3/4`: groups that are released begin their
steps together. The aim is a backlog of 6 % of the slots; between 2 and 10 % it is left alone.

How many slots there are is learnt: as many calls as run while others wait. As long as nothing ever
waited nobody knows, and the target is doubled; when more run than ever, it grows by half.

What has been decided shows late: a released group calls at once, but a parked one goes on to the
end of its step. So nothing is decided before a change can have shown, and nobody is parked while
calls become fewer; otherwise the integral of the error winds up during the dead time (Astrom and
Hagglund, "Advanced PID Control", 2006, sections 3.5 and 8.2). And groups begin and end their steps
by chance, which makes `q` vary by about half the root of `slots * group`. Too many calls by more
than that are judged by a few readings, by less by many. Slots that are free are added up from one
reading to the next, as far as they are more than may be free, and when the sum is no chance any
more, groups are released (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954): many
free slots are filled at once, and a few that stay free within some seconds.

Until there were too many once for such a server, an agent is taken to have a call for half of its
time, by which two are needed for a slot (Little's law), and less is waited for.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from services.agent_state.control_values import Bounds, Control, Decision, Reading, Reason

AIM, LOWEST, HIGHEST = 0.06, 0.02, 0.10
"""Shares of the slots: the backlog to reach, and the band in which it is left alone."""
FAR = 0.15
"""Share of the slots by which all calls may miss the aim before three readings decide."""
BUSY, BURSTY = 0.95, 0.5
"""Share of the slots that is to be busy; while it is not, for calls come in bursts, the backlog may
be this share of them."""
READINGS, STANDING, LONG = 3, 8, 20
"""Readings that decide while the slots are not known, where calls are far too many, and where they
are near the aim. Too many is what has waited all the time: a burst of the line is no reason to park
people, who would be missing when it is over."""
SETTLING_SECONDS = 1.0
"""Within this time a released group has made its first calls: readings before tell nothing."""
PATIENCE_SECONDS = 12.0
"""What moves towards the band is waited for so long, and longer as calls wait for slots."""
STILL = 0.05
"""A change of all calls by less than this share is no movement."""
STEADY = 0.85
"""Least ratio of the calls running two readings apart, if it is to be known how many can."""
MORE = 1.03
"""With more than this multiple of the slots running, there are more than was thought."""
LATE_SECONDS = 0.1
"""A process that is so late, on average, has too little processor for the agents it has."""
LARGER = 1.25
"""Multiple of the slots that were filled once, from which on a server is another one."""
GROWTH = 1.5
_LEAST_SLOPE = 0.05
_FIRST_CHANCE, _CHANCE = 0.5, 1.5
"""Multiples of the noise, in slot-seconds, that may be free: until there were enough agents once,
and then."""
_FIRST_SLOPE, _NEW_SLOPE = 0.5, 0.75
"""Calls that a released agent is counted for until there were enough once, and at least then: a
call half of the time is what an agent has that waits for the slowest of its group."""


def observed(control: Control, reading: Reading) -> Control:
    """Return the controller after a reading."""
    if reading.at < control.changed_at + SETTLING_SECONDS:
        return control
    readings = (*control.readings, reading)[-LONG:]
    if _awaits(control, readings[-READINGS:]):
        readings = readings[-READINGS:]
    slots = _slots(control.slots, readings[-READINGS:])
    known = control.known or slots is not None
    awaited = control.awaited
    if slots is not None and slots < STEADY * (control.slots or 0.0):
        # What was read before, and what was awaited, are of a server that is not there any more.
        readings, awaited = readings[-READINGS:], None
    return replace(control, readings=readings, slots=slots, known=known, awaited=awaited)


def _slots(known: float | None, latest: Sequence[Reading]) -> float | None:
    """Return how many calls run at once: fewer than thought only if all readings say so."""
    full = [r.running for r in latest if r.backlog > 0 and r.running > 0]
    if known is None or len(full) == READINGS:
        return max(full, default=None)
    running = latest[-1].running
    if running <= known:
        return known
    # How many more there are will be known when calls wait again.
    return running if latest[-1].backlog or running < MORE * known else None


def decided(control: Control, bounds: Bounds) -> Decision | None:
    """Return a better target; None while it is good, or cannot be told yet."""
    inside = bounds.within(control.target)
    if inside != control.target:
        return Decision(inside, "limits")
    latest = control.readings[-READINGS:]
    if not latest or _awaits(control, latest):
        return None
    # Slots may be free because we have no time for more calls.
    late = fmean(r.late for r in latest) > LATE_SECONDS
    free = _free(control, bounds)
    if free is not None and not late:
        return _more(control, bounds, _missing(control, bounds, free))
    if len(latest) < READINGS:
        return None
    gap = _far(control, bounds, latest)
    readings = latest
    if gap is None and len(control.readings) == LONG:
        readings = control.readings
        gap = _near(control, bounds, readings)
    if gap is None or (gap < 0 and late):
        return None
    return _fewer(control, bounds, readings, gap) if gap > 0 else _more(control, bounds, -gap)


def changed(control: Control, decision: Decision, now: float) -> Control:
    """Return the controller after its target was changed at a time of the readings' clock."""
    return replace(
        control,
        target=decision.target,
        changed_at=now,
        readings=(),
        patient_until=now + decision.patience,
        awaited=decision.awaited,
        filled=(control.slots or 0.0) if decision.awaited is not None else control.filled,
    )


def _awaits(control: Control, latest: Sequence[Reading]) -> bool:
    """Return whether what was taken away last still shows only in part."""
    if control.awaited is None or latest[-1].at >= control.patient_until:
        return False
    return _mean_calls(latest) > control.awaited


def _noise(bounds: Bounds, slots: float) -> float:
    """Return by how much all calls vary: each of slots / group groups has none, or one an agent."""
    return 0.5 * math.sqrt(bounds.group * slots)


def _free(control: Control, bounds: Bounds) -> float | None:
    """Return how many slots are free, if more are than may be, and not by chance."""
    slots = control.slots
    if slots is None:
        return None
    free, excess = list[float](), 0.0
    for reading in control.readings:
        # While calls wait, the gate or a smaller server is the limit, and not a lack of calls.
        free.append(0.0 if reading.backlog else slots - reading.running)
        excess += free[-1] - (1 - BUSY) * slots
        if excess <= 0:
            free, excess = [], 0.0
    chance = (_FIRST_CHANCE if _begins(control) else _CHANCE) * _noise(bounds, slots)
    return fmean(free) if free and excess >= chance else None


def _far(control: Control, bounds: Bounds, latest: Sequence[Reading]) -> float | None:
    """Return how many calls are too many, if far too many are; too few until slots are known."""
    calls, slots = _mean_calls(latest), control.slots
    moved = latest[-1].calls - latest[0].calls
    if latest[-1].at > control.patient_until or abs(moved) < STILL * calls:
        moved = 0.0
    if slots is None or moved < 0:
        return -math.inf if slots is None and moved <= 0 else None
    # At every moment: a burst between two with free slots is no backlog that agents make.
    readings = control.readings[-STANDING:]
    if len(readings) < STANDING or min(r.running for r in readings) < BUSY * slots:
        return None
    gap = min(r.calls for r in readings) - (1 + AIM) * slots
    return gap if gap >= max(FAR * slots, 2 * _noise(bounds, slots)) else None


def _near(control: Control, bounds: Bounds, readings: Sequence[Reading]) -> float | None:
    """Return by how many calls the aim is missed, if the backlog has left the band a little."""
    slots = control.slots
    if slots is None:
        return None
    running, backlog = fmean(r.running for r in readings), fmean(r.backlog for r in readings)
    group = bounds.group * _slope(control, bounds, running + backlog)
    idle = running < BUSY * slots
    standing = sorted(r.backlog for r in readings)[len(readings) // 4]
    if standing > max((BURSTY if idle else HIGHEST) * slots, AIM * slots + group):
        return standing - AIM * slots
    # Bursts are a backlog too, on average, and leave slots free in between.
    if idle or backlog < LOWEST * slots:
        return min(0.0, running - slots)
    return None


def _mean_calls(readings: Sequence[Reading]) -> float:
    return fmean(r.calls for r in readings)


def _slope(control: Control, bounds: Bounds, calls: float) -> float:
    """Return how many calls one more active agent brings, at most."""
    return min(1.0, max(_LEAST_SLOPE, calls / bounds.active(control.target)))


def _begins(control: Control) -> bool:
    """Return whether nobody knows yet how many agents such a server takes."""
    return (control.slots or 0.0) > LARGER * control.filled


def _missing(control: Control, bounds: Bounds, free: float) -> float:
    """Return how many agents would fill the slots that are free."""
    active = bounds.active(control.target)
    if _begins(control):
        return max(free / _FIRST_SLOPE, (control.slots or 0.0) / _FIRST_SLOPE - active)
    calls = _mean_calls(control.readings[-READINGS:])
    return free / max(_NEW_SLOPE, _slope(control, bounds, calls))


def _fewer(
    control: Control, bounds: Bounds, readings: Sequence[Reading], excess: float
) -> Decision | None:
    running = sorted((readings[-READINGS].running, readings[-1].running))
    if running[0] < STEADY * running[1]:
        return None  # The server, or the gate before it, is just becoming smaller or larger.
    calls, slots = _mean_calls(readings), control.slots or 1.0
    slope = _slope(control, bounds, calls)
    active = bounds.active(control.target)
    target = bounds.within(active - max(excess / slope, bounds.group))
    if target >= control.target:
        return None
    shown = calls - slope * max(0, active - target) / 2
    # A call takes as much longer as there are more of them than slots, and so does a step.
    patience = PATIENCE_SECONDS * max(1.0, calls / slots)
    return Decision(target, "backlog too long", patience, shown)


def _more(control: Control, bounds: Bounds, missing: float) -> Decision | None:
    if control.target >= bounds.usable:
        return None  # All are active: what is more would act when another region is wanted.
    most = control.target * (GROWTH if control.slots is None and control.known else 2.0)
    wanted = max(control.target + bounds.group, min(control.target + missing, most))
    target = bounds.within(min(wanted, bounds.usable))
    if target <= control.target:
        return None
    reason: Reason = "no backlog" if control.slots is None else "slots are free"
    return Decision(target, reason, PATIENCE_SECONDS)
