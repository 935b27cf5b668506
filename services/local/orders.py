"""What a run is to make: a new dataset, the rest of an order, or more of a filled one."""

from collections.abc import Mapping
from typing import Any

from services.events import DatasetDeclared
from services.instruction_generation.orders import check_name, extended, filtered, ordered
from services.kinds import Kind, find_kind
from services.local.settings import RunSettings
from services.runtime.errors import Rejected


def check_order(settings: RunSettings, kinds: dict[str, Kind]) -> None:
    """Refuse at once what would be refused when the society has been imported.

    Raises:
        NotFound: no such kind.
        Rejected: a name or a requirement that cannot be used.
    """
    kind = find_kind(kinds, settings.kind)
    kind.requirements(settings.requirement, 0)
    filtered(kind.filter, settings.filters)
    check_name(settings.dataset)


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
    )


def next_order(
    settings: RunSettings, known: DatasetDeclared, shown: bool, regions: dict[str, int]
) -> DatasetDeclared:
    """Return the order for a dataset that exists: more of it if its last one was filled and shown.

    Raises:
        Rejected: the dataset is of another kind or requirement.
    """
    if (known.kind, known.domain) != (settings.kind, settings.requirement.strip()):
        raise Rejected(
            f"dataset {known.dataset!r} in {settings.out} is of kind {known.kind!r}, requirement "
            f"{known.domain!r}; give the new one another --name"
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
