"""The groups of all replicas: page by page for callers, and as a whole for joins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from matrix.agent_state.v1 import service_pb2 as pb

from services.agent_state.placing import Roster, Seats
from services.agent_state.queries import PopulationQueries, SocietyQueries
from services.agent_state.views import GroupSummary
from services.events import SocietyImported
from services.runtime.answering import Replicas, everywhere, rpc
from services.runtime.errors import Retryable
from services.runtime.grpc_handlers import Context
from services.runtime.pages import page_of, page_size, page_start
from services.runtime.protobuf import Codec

PAGE = 500
"""Groups asked for at once; a page is about 500 KB."""
PAUSE_SECONDS = 0.5
ATTEMPTS = 60

_GROUP = Codec(GroupSummary, pb.GroupSummary)
_LIST_GROUPS = rpc("/matrix.agent_state.v1.AgentStateService/ListGroups", pb.ListGroupsResponse)
_PAGE, _MOST = 100, 1000


class GroupListing:
    """Lists the groups of all replicas."""

    def __init__(
        self, society: SocietyQueries, population: PopulationQueries, peers: Replicas
    ) -> None:
        self._society = society
        self._population = population
        self._peers = peers

    async def page(
        self, request: pb.ListGroupsRequest, context: Context | None = None
    ) -> pb.ListGroupsResponse:
        """Return a page, in order of id; `context` is that of the call that asks for it, if any.

        Raises:
            Rejected: a page size or token that cannot be.
            Retryable: a replica did not answer.
        """
        size = page_size(request.page_size, _PAGE, _MOST)
        after = page_start("groups", request.page_token)
        known = self._population.society
        shifts = known.shifts if known is not None else ()
        own = self._society.groups(after, size + 1, request.region, shifts, request.seats)
        here = pb.ListGroupsResponse(groups=map(_GROUP.to_message, own))
        if context is None:
            pages = [here, *await self._peers.gather(_LIST_GROUPS, request)]
        else:
            pages = await everywhere(here, self._peers, _LIST_GROUPS, request, context)
        groups, token = page_of(
            "groups",
            [page.groups for page in pages],
            lambda group: group.group_id,
            size,
            any(page.next_page_token for page in pages),
        )
        return pb.ListGroupsResponse(groups=groups, next_page_token=token)

    async def roster(self, society: SocietyImported) -> Roster:
        """Return all groups of a society: see `whole_roster`."""
        return await whole_roster(society, self.page)


ListGroups = Callable[[pb.ListGroupsRequest], Awaitable[pb.ListGroupsResponse]]


async def whole_roster(society: SocietyImported, list_groups: ListGroups) -> Roster:
    """Return all groups of a society; waits for those that are on their way.

    Groups are missing while they change their owners, and until their owners have read that they
    were founded or joined.

    Raises:
        Retryable: some are missing all the time, or a replica does not answer.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(PAUSE_SECONDS)
        roster = await _roster(list_groups)
        # More of them: a join was broken off before it was counted.
        if len(roster.groups) >= society.groups and len(roster.present) >= society.agents:
            return roster
    raise Retryable(
        f"{len(roster.present):,} of {society.agents:,} people and {len(roster.groups):,} of "
        f"{society.groups:,} groups are to be found: others change their owners at the moment, or "
        "could not be founded (see the dead letters); try again"
    )


async def _roster(list_groups: ListGroups) -> Roster:
    groups: dict[str, Seats] = {}
    request = pb.ListGroupsRequest(page_size=PAGE, seats=True)
    while True:
        page = await list_groups(request)
        for group in page.groups:
            groups[group.group_id] = Seats(
                group_id=group.group_id,
                region=group.region,
                description=group.description,
                rank=group.founding_rank,
                centroid=group.centroid,
                agent_ids=tuple(group.agent_ids),
            )
        if not page.next_page_token:
            return Roster(list(groups.values()))
        request.page_token = page.next_page_token
