"""Standing orders: how they are made, changed and ended, as values.

Whoever owns the key of a dataset publishes its orders; each has a higher revision than the last.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from services.events import DatasetDeclared, FilterSpec, Grant
from services.events.filters import overridden
from services.instruction_generation.domain import Progress
from services.instruction_generation.knobs import (
    Knobs,
    check_benign,
    narrowed,
    settled,
    weights,
)
from services.instruction_generation.quotas import StratumProgress, divide, rebalance
from services.kinds import Kind, find_kind, is_like
from services.runtime.errors import NotFound, Rejected, Unprepared
from services.runtime.ids import derived_seed

CHUNK = 1000
"""Samples that a continuous dataset grows by at a time, at most; it begins with so many, too."""
MAX_SIZE = 1_000_000_000
MAX_WEIGHT = 1000.0
_INT64 = range(-(2**63), 2**63)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
"""Fits in 255 bytes, which file systems take, whatever the script."""
_KNOBS = tuple(field.name for field in fields(Knobs))
_SPECIFIED = ("kind", "domain", "continuous", "size", "weight", "seed", *_KNOBS, "filter")
"""Fields of an order that its customer decides on."""


def check_name(name: str) -> None:
    """Refuse a dataset name that cannot name the folder of the dataset's table.

    Raises:
        Rejected: it has other characters, begins with a mark, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise Rejected(
            f"dataset name {name!r} cannot be a folder's name: use letters of ASCII, digits, '-', "
            "'_' and '.', at most 60, and begin with a letter or digit"
        )


def ordered(
    kinds: dict[str, Kind],
    name: str,
    kind: str,
    size: int,
    domain: str,
    regions: Mapping[str, int],
    seed: int,
    now: float,
    filters: Mapping[str, Any] | None = None,
    weight: float = 1.0,
    continuous: bool = False,
    knobs: Knobs | None = None,
) -> DatasetDeclared:
    """Return a new order, whose samples are divided among the regions by its balance.

    Args:
        kinds: The kinds that there are.
        name: Of the dataset, and of the folder of its table.
        kind: Name of its kind.
        size: Samples to accept; for a continuous dataset those to begin with (usually `CHUNK`).
        domain: The user's requirement text, for kinds that take one.
        regions: Agents by region of the society.
        seed: Of the order of the requirements.
        now: Seconds since the epoch.
        filters: Settings of the kind's filter that are overridden.
        weight: Share of the work beside other datasets, above 0, at most `MAX_WEIGHT`.
        continuous: Whether it grows whenever little is left to make.
        knobs: What it is narrowed to, and where its budget goes.

    Raises:
        NotFound: no such kind.
        Rejected: something of it cannot be used; the message names it.
    """
    check_name(name)
    if not 1 <= size <= MAX_SIZE:
        raise Rejected(
            f"dataset {name!r}: size is {size}, it must be at least 1, at most {MAX_SIZE}"
        )
    if not (math.isfinite(weight) and 0 < weight <= MAX_WEIGHT):
        raise Rejected(
            f"dataset {name!r}: weight is {weight}, give more than 0, at most {MAX_WEIGHT:g}"
        )
    if seed not in _INT64:
        raise Rejected(f"dataset {name!r}: seed {seed} does not fit in 64 bits")
    if not regions:
        raise Unprepared(f"dataset {name!r}: there is no society to draw on; import agents first")
    found = find_kind(kinds, kind)
    knobs = settled(knobs or Knobs(), found)
    found = narrowed(found, knobs)
    spec = filtered(found.filter, filters or {})
    check_benign(found, spec.min_benign_share)
    grants = divide(size, weights(knobs.balance, regions))
    return DatasetDeclared(
        dataset=name,
        kind=kind,
        size=size,
        domain=domain.strip(),
        requirements=found.requirements(domain, derived_seed("requirements", name, seed)),
        filter=spec,
        grants=tuple(Grant(stratum, granted) for stratum, granted in sorted(grants.items())),
        created_at=now,
        revision=1,
        weight=weight,
        continuous=continuous,
        seed=seed,
        **asdict(knobs),
    )


def completed(dataset: DatasetDeclared) -> DatasetDeclared:
    """Return an order with all that it means: earlier versions wrote no weight and no knobs."""
    return replace(
        dataset,
        weight=dataset.weight or 1.0,
        balance=dataset.balance or "population",
        steer=dataset.steer or "acceptance",
    )


def filtered(spec: FilterSpec, overrides: Mapping[str, Any]) -> FilterSpec:
    """Return a filter with some settings replaced.

    Raises:
        Rejected: a setting is unknown, or its value of another type or out of its range.
    """
    known = asdict(spec)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}
    for name, value in values.items():
        if name in known and not is_like(value, known[name]):
            raise Rejected(f"filter setting {name} is {value!r}: give the like of {known[name]!r}")
    return overridden(spec, values)


def extended(dataset: DatasetDeclared, more: int, regions: Mapping[str, int]) -> DatasetDeclared:
    """Return the order with `more` samples on top."""
    extra = divide(more, weights(dataset.balance, regions))
    grants = {grant.stratum: grant for grant in dataset.grants}
    for stratum, count in extra.items():
        grant = grants.get(stratum, Grant(stratum, 0))
        grants[stratum] = replace(grant, granted=grant.granted + count)
    return replace(
        dataset,
        size=dataset.size + more,
        grants=tuple(grant for _, grant in sorted(grants.items())),
        revision=dataset.revision + 1,
    )


def grown(dataset: DatasetDeclared, accepted: int, regions: Mapping[str, int]) -> DatasetDeclared:
    """Return the order, extended if it is continuous and less than half a chunk is left.

    A chunk is as much as there is of it, at most `CHUNK`: a small one doubles until then.
    """
    chunk = min(dataset.size, CHUNK)
    if not dataset.continuous or not regions or 2 * (dataset.size - accepted) >= chunk:
        return dataset
    return extended(dataset, chunk, regions)


def is_settled(dataset: DatasetDeclared, strata: Mapping[str, Progress]) -> bool:
    """Return whether `rebalanced` changes nothing, whatever else it is told of the strata.

    All is dealt out, and no stratum is full: so it is after most events.
    """
    grants = {grant.stratum: (grant.granted, grant.recall) for grant in dataset.grants}
    held = 0
    for stratum, each in strata.items():
        if each.room <= 0 or each.released > each.recall:
            return False
        if grants.get(stratum) != (each.granted, each.recall):
            return False
        held += each.granted - each.released
    return held >= dataset.size


def rebalanced(dataset: DatasetDeclared, strata: Mapping[str, StratumProgress]) -> DatasetDeclared:
    """Return the order with quotas moved between strata; unchanged when none is to move."""
    moved = rebalance(dataset.size, strata)
    before = {grant.stratum: (grant.granted, grant.recall) for grant in dataset.grants}
    if all(before.get(stratum, (0, 0)) == quota for stratum, quota in moved.items()):
        return dataset
    grants = tuple(Grant(stratum, *quota) for stratum, quota in sorted(moved.items()))
    return replace(dataset, grants=grants, revision=dataset.revision + 1)


def created(known: DatasetDeclared | None, wanted: DatasetDeclared) -> DatasetDeclared:
    """Return the order in force when `wanted` is given: a repeat of it changes nothing.

    Raises:
        Rejected: the name is taken by another order, or was that of a deleted one.
    """
    if known is None:
        return wanted
    if known.deleted:
        raise Rejected(
            f"dataset {known.dataset!r} was deleted, its samples are kept under that name: give "
            "the new one another"
        )
    for field in _SPECIFIED:
        if field == "size" and known.continuous:
            continue  # It has grown.
        there, here = getattr(known, field), getattr(wanted, field)
        if there != here:
            raise Rejected(
                f"dataset {known.dataset!r} exists with {field} {there!r}, not {here!r}: give the "
                "new one another name, or order it as it is"
            )
    return known


def paused(dataset: DatasetDeclared, pause: bool) -> DatasetDeclared:
    """Return the order stopped for now, or going on; unchanged when it is so already.

    Raises:
        NotFound: it was deleted.
    """
    _check_there(dataset)
    if dataset.paused == pause:
        return dataset
    return replace(dataset, paused=pause, revision=dataset.revision + 1)


def deleted(dataset: DatasetDeclared) -> DatasetDeclared:
    """Return the order ended for good.

    Raises:
        NotFound: it was deleted before.
    """
    _check_there(dataset)
    return replace(dataset, deleted=True, revision=dataset.revision + 1)


def _check_there(dataset: DatasetDeclared) -> None:
    if dataset.deleted:
        raise NotFound(f"dataset {dataset.dataset!r} was deleted")
