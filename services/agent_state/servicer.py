"""AgentStateService: messages in, queries and the import asked, messages out."""

from collections.abc import AsyncIterator

from matrix.agent_state.v1 import service_pb2 as pb
from matrix.agent_state.v1.service_pb2_grpc import AgentStateServiceServicer

from services.agent_state.intake import Intake, LineError, SocietyImport
from services.agent_state.queries import PopulationQueries, SocietyQueries, WatchedAction
from services.agent_state.roster import GroupListing
from services.agent_state.views import AgentProfile, AgentSummary, Population
from services.events import PopulationSet, codec
from services.events.topics import POPULATION
from services.runtime.answering import Replicas, anywhere, everywhere, rpc
from services.runtime.callers import Permission
from services.runtime.errors import Rejected
from services.runtime.grpc_handlers import Context
from services.runtime.pages import page_of, page_size, page_start
from services.runtime.ports import Clock, Publisher
from services.runtime.protobuf import Codec
from services.runtime.streams import Fanout

NAME = "matrix.agent_state.v1.AgentStateService"
"""Full name of the service."""
_SERVICE = f"/{NAME}"
PERMISSIONS: dict[str, Permission] = {
    f"{_SERVICE}/ImportAgents": "operate",
    f"{_SERVICE}/GetAgent": "read",
    f"{_SERVICE}/ListAgents": "read",
    f"{_SERVICE}/ListGroups": "read",
    f"{_SERVICE}/SetPopulation": "operate",
    f"{_SERVICE}/GetPopulation": "read",
    f"{_SERVICE}/WatchActions": "read",
}
"""What a caller must be allowed to do, by full name of the method."""

_PROFILE = Codec(AgentProfile, pb.AgentProfile)
_AGENT = Codec(AgentSummary, pb.AgentSummary)
_POPULATION = Codec(Population, pb.Population)
_ERROR = Codec(LineError, pb.LineError)
_ACTION = Codec(WatchedAction, pb.WatchActionsResponse)

_GET_AGENT = rpc(f"{_SERVICE}/GetAgent", pb.GetAgentResponse)
_LIST_AGENTS = rpc(f"{_SERVICE}/ListAgents", pb.ListAgentsResponse)
_GET_POPULATION = rpc(f"{_SERVICE}/GetPopulation", pb.GetPopulationResponse)


_PAGE, _MOST = 100, 1000


class AgentStateServicer(AgentStateServiceServicer):
    """Answers for the people of the society."""

    def __init__(
        self,
        society: SocietyQueries,
        population: PopulationQueries,
        importing: SocietyImport,
        publisher: Publisher,
        actions: Fanout[WatchedAction],
        peers: Replicas,
        clock: Clock,
    ) -> None:
        self._society = society
        self._groups = GroupListing(society, population, peers)
        self._population = population
        self._importing = importing
        self._publisher = publisher
        self._actions = actions
        self._peers = peers
        self._clock = clock

    async def ImportAgents(
        self, request: AsyncIterator[pb.ImportAgentsRequest], context: Context
    ) -> pb.ImportAgentsResponse:
        """Make a society of the profiles of a stream, or have them join the one that is here."""
        report = await self._importing.run(await _intake(request))
        return pb.ImportAgentsResponse(
            agents=report.society.agents,
            groups=report.society.groups,
            regions=report.society.regions,
            errors=[_ERROR.to_message(error) for error in report.errors],
            refused=report.refused,
            joined=report.joined,
            joined_groups=report.joined_groups,
            founded_groups=report.founded_groups,
            present=report.present,
        )

    async def GetAgent(self, request: pb.GetAgentRequest, context: Context) -> pb.GetAgentResponse:
        """Return one person."""
        return await anywhere(self._agent(request), self._peers, _GET_AGENT, request, context)

    async def _agent(self, request: pb.GetAgentRequest) -> pb.GetAgentResponse:
        return pb.GetAgentResponse(agent=_PROFILE.to_message(self._society.agent(request.agent_id)))

    async def ListAgents(
        self, request: pb.ListAgentsRequest, context: Context
    ) -> pb.ListAgentsResponse:
        """Return a page of people."""
        size = page_size(request.page_size, _PAGE, _MOST)
        after = page_start("agents", request.page_token)
        own = self._society.agents(after, size + 1, request.group_id, request.region)
        here = pb.ListAgentsResponse(agents=map(_AGENT.to_message, own))
        pages = await everywhere(here, self._peers, _LIST_AGENTS, request, context)
        agents, token = page_of(
            "agents",
            [page.agents for page in pages],
            lambda agent: agent.agent_id,
            size,
            any(page.next_page_token for page in pages),
        )
        return pb.ListAgentsResponse(agents=agents, next_page_token=token)

    async def ListGroups(
        self, request: pb.ListGroupsRequest, context: Context
    ) -> pb.ListGroupsResponse:
        """Return a page of groups."""
        return await self._groups.page(request, context)

    async def SetPopulation(
        self, request: pb.SetPopulationRequest, context: Context
    ) -> pb.SetPopulationResponse:
        """Limit how many people may be active."""
        most = request.max_agents if request.HasField("max_agents") else None
        if most is not None and most < 0:
            raise Rejected(f"max_agents {most}: give 0 or more, or leave it out for no limit")
        least = request.min_agents
        if least < 0:
            raise Rejected(f"min_agents {least}: give 0 or more")
        if most is not None and least > most:
            raise Rejected(
                f"min_agents {least} is above max_agents {most}: give at most as many as may be "
                "active"
            )
        limit = PopulationSet(most, self._clock(), least)
        await self._publisher.publish([codec.to_record(POPULATION, "limits", limit)])
        self._population.set_limit(limit)
        return pb.SetPopulationResponse(population=await self._size(context))

    async def GetPopulation(
        self, request: pb.GetPopulationRequest, context: Context
    ) -> pb.GetPopulationResponse:
        """Return how large the society is."""
        return pb.GetPopulationResponse(population=await self._size(context))

    async def _size(self, context: Context) -> pb.Population:
        population = self._population
        society = population.society
        shifts = society.shifts if society is not None else ()
        active = self._society.active(population.wanted, population.rank_limit, shifts)
        size: pb.Population = _POPULATION.to_message(population.population(active))
        here, request = pb.GetPopulationResponse(population=size), pb.GetPopulationRequest()
        answers = await everywhere(here, self._peers, _GET_POPULATION, request, context)
        size.active_agents = sum(answer.population.active_agents for answer in answers)
        return size

    async def WatchActions(self, request: pb.WatchActionsRequest, context: Context) -> None:
        """Send what people do."""
        wanted = request.group_id
        await self._actions.forward(
            context, lambda watched: wanted in ("", watched.group_id), _ACTION.to_message
        )


async def _intake(requests: AsyncIterator[pb.ImportAgentsRequest]) -> Intake:
    """Return the profiles of a stream; takes in line by line, so that a large one is no burst."""
    intake: Intake | None = None
    async for request in requests:
        part = request.WhichOneof("part")
        if (part == "options") != (intake is None) or part is None:
            raise Rejected(
                "an import is one message with options, then one with a profile for each line: "
                f"got {part or 'an empty message'} {'first' if intake is None else 'after it'}"
            )
        if intake is None:
            intake = Intake(request.options.seed, request.options.join)
        else:
            intake.add(request.profile)
    if intake is None:
        raise Rejected("an import is one message with options, then profiles: got none at all")
    return intake
