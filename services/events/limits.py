"""How many agents leave room for a group: what limits, target and appetites come to."""

from collections.abc import Collection, Mapping
from math import ceil


def rank_limit(
    target: int | None,
    min_agents: int,
    max_agents: int | None,
    regions: Mapping[str, int],
    wanted: Collection[str],
) -> int | None:
    """Return the limit for rank plus size of a group; None when there is none.

    Ranks count the agents of all regions, and the regions take turns in proportion to their groups.
    For `target` agents of the wanted regions to be active, the limit is therefore higher by what
    all regions are to the wanted ones. So a region that is wanted once more brings its share of the
    target, and not all its people.

    Args:
        target: Agents that are to be active; None: as many as `max_agents` leaves room for.
        min_agents: The limit is never lower.
        max_agents: It is never higher, whatever `min_agents` says; None for no bound.
        regions: Agents by region.
        wanted: The regions whose groups may go on.
    """
    if target is None:
        return max_agents
    everybody, hungry = sum(regions.values()), sum(regions.get(name, 0) for name in wanted)
    limit = max(target, min_agents)
    if hungry:
        limit = max(ceil(target * everybody / hungry), min_agents)
    return limit if max_agents is None else min(limit, max_agents)
