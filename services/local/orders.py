"""What a run is to make: a new dataset, the rest of an order, or more of a filled one."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from services.events import DatasetDeclared
from services.instruction_generation.knobs import settled
from services.instruction_generation.orders import extended, ordered
from services.kinds import Kind, find_kind
from services.local.settings import RunSettings
from services.runtime.errors import Rejected


def check_order(settings: RunSettings, kinds: dict[str, Kind]) -> None:
    """Refuse at once what would be refused when the society has been imported.

    Raises:
        NotFound: no such kind.
        Rejected: a name, a requirement, a knob or a setting of the filter that cannot be used.
    """
    new_order(settings, kinds, {"r00": settings.agents}, settings.filters, 0.0)


def new_order(
    settings: RunSettings,
    kinds: dict[str, Kind],
    regions: dict[str, int],
    limits: Mapping[str, Any],
    now: float,
) -> DatasetDeclared:
    """Return the order for a dataset that does not exist yet."""
    return ordered(
        kinds,
        settings.dataset,
        settings.kind,
        settings.samples,
        settings.requirement,
        regions,
        settings.seed,
        now,
        limits,
        knobs=settings.knobs,
    )


def next_order(
    settings: RunSettings,
    kinds: dict[str, Kind],
    known: DatasetDeclared,
    shown: bool,
    regions: dict[str, int],
) -> DatasetDeclared:
    """Return the order for a dataset that exists: more of it if its last one was filled and shown.

    Raises:
        Rejected: the dataset is of another kind or requirement, or was ordered with other knobs or
            settings of the filter than are given.
    """
    if (known.kind, known.domain) != (settings.kind, settings.requirement.strip()):
        raise Rejected(
            f"dataset {known.dataset!r} in {settings.out} is of kind {known.kind!r}, requirement "
            f"{known.domain!r}; give the new one another --name"
        )
    knobs = asdict(settled(settings.knobs, find_kind(kinds, settings.kind)))
    given = {name: value for name, value in knobs.items() if getattr(settings.knobs, name)}
    for name, value in (given | dict(settings.filters)).items():
        there = getattr(known if name in knobs else known.filter, name)
        if there != value:
            raise Rejected(
                f"dataset {known.dataset!r} in {settings.out} was ordered with {name} {there!r}, "
                f"not {value!r}; leave it out to go on, or give the new one another --name"
            )
    return extended(known, settings.samples, regions) if shown else known


def described(settings: RunSettings, known: DatasetDeclared | None, shown: bool, made: int) -> str:
    """Return what a run that goes on makes of the order that it found, in a few words."""
    if known is None:
        return f"a new dataset of {settings.samples} samples"
    if shown:
        return f"{settings.samples} samples on top of {made}"
    return f"{made} of {known.size} samples"


def ignored(settings: RunSettings, known: DatasetDeclared | None, shown: bool) -> str:
    """Return what is told of a --samples that does not count now; empty when it does."""
    if known is None or shown or known.size == settings.samples:
        return ""
    return (
        f"this run completes the order of {known.size} samples; --samples {settings.samples} "
        "counts for the next one: run the same command again afterwards to add them"
    )
