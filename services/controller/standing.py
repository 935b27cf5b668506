"""The status of a `Dataset` object, as values: what the platform tells, and the conditions.

Conditions are those of the Kubernetes API conventions: `Accepted` (the platform has taken the
order), `Synced` (it answered when it was last asked), `Complete` (all samples are accepted).
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Literal

from matrix.instruction_generation.v1.service_pb2 import Dataset

Truth = Literal["True", "False"]
Condition = dict[str, Any]
Status = dict[str, Any]

_LONGEST = 1024
"""Characters of a message; the API conventions allow 32768, and people read them in a terminal."""


def truth(status: Mapping[str, Any], kind: str) -> str:
    """Return the status of a condition; "" before it was decided."""
    for each in status.get("conditions", ()):
        if each["type"] == kind:
            return str(each["status"])
    return ""


def progressed(
    status: Mapping[str, Any],
    dataset: Dataset,
    generation: int,
    now: float,
    rate: float | None,
    snapshot_uri: str,
) -> Status:
    """Return the status of an object whose order stands as the platform tells.

    Args:
        status: before.
        dataset: what the platform tells.
        generation: of the spec that was read.
        now: seconds since the epoch.
        rate: accepted samples an hour; None while it is not known.
        snapshot_uri: where the table of the dataset is; empty when that is not known.
    """
    told = dataset.status
    after = deepcopy(dict(status))
    after |= {
        "observedGeneration": generation,
        "phase": told.state.capitalize(),
        "accepted": told.accepted,
        "judged": told.judged,
        "wanted": told.wanted,
        "size": told.size,
    }
    after.pop("rate", None)
    if rate is not None:
        after["rate"] = rate
    # A table is made with its first rows.
    if snapshot_uri and told.accepted:
        after["snapshotURI"] = snapshot_uri
    full = told.wanted == 0 and not dataset.order.continuous
    complete = (
        ("True", "Filled", f"All {told.size} samples are accepted")
        if full
        else ("False", "Wanting", f"{told.wanted} samples are still to be accepted")
        if not dataset.order.continuous
        else ("False", "Continuous", "It grows until it is paused or ended")
    )
    _decide(
        after, "Accepted", "True", "Ordered", "The platform has taken the order", generation, now
    )
    _decide(after, "Synced", "True", "Answered", "The platform answers", generation, now)
    _decide(after, "Complete", *complete, generation, now)
    return after


def refused(
    status: Mapping[str, Any], reason: str, message: str, generation: int, now: float
) -> Status:
    """Return the status of an object that the platform has no order of.

    Args:
        status: before.
        reason: "Rejected", or "Ended" when there was an order.
        message: the platform's words.
        generation: of the spec that was read.
        now: seconds since the epoch.
    """
    after = deepcopy(dict(status))
    after |= {"observedGeneration": generation, "phase": reason}
    after.pop("rate", None)
    _decide(after, "Accepted", "False", reason, message, generation, now)
    _decide(after, "Synced", "True", "Answered", "The platform answers", generation, now)
    return after


def unreached(status: Mapping[str, Any], message: str, generation: int, now: float) -> Status:
    """Return the status of an object whose order could not be asked for; the rest is as it was."""
    after = deepcopy(dict(status))
    after.setdefault("phase", "Pending")
    _decide(after, "Synced", "False", "Unavailable", message, generation, now)
    return after


def _decide(
    status: Status, kind: str, value: str, reason: str, message: str, generation: int, now: float
) -> None:
    known: Sequence[Condition] = status.get("conditions", ())
    before = next((each for each in known if each["type"] == kind), None)
    condition = {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message[:_LONGEST],
        "observedGeneration": generation,
        # By the API conventions it tells of the status, not of the message.
        "lastTransitionTime": before["lastTransitionTime"]
        if before is not None and before["status"] == value
        else datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    others = [each for each in known if each["type"] != kind]
    status["conditions"] = sorted([*others, condition], key=lambda each: str(each["type"]))
