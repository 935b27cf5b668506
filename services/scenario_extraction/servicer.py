"""ScenarioExtractionService: messages in, the library asked, messages out."""

from matrix.scenario_extraction.v1 import service_pb2 as pb
from matrix.scenario_extraction.v1.service_pb2_grpc import ScenarioExtractionServiceServicer

from services.events import ScenarioExtracted, codec
from services.runtime.answering import Replicas, anywhere, rpc
from services.runtime.callers import Permission
from services.runtime.grpc_handlers import Context
from services.runtime.protobuf import Codec
from services.runtime.streams import Fanout
from services.scenario_extraction.queries import FoundScenario, ScenarioIndex, ScenarioSearch

NAME = "matrix.scenario_extraction.v1.ScenarioExtractionService"
"""Full name of the service."""
_SERVICE = f"/{NAME}"
PERMISSIONS: dict[str, Permission] = {
    f"{_SERVICE}/GetScenario": "read",
    f"{_SERVICE}/SearchScenarios": "read",
    f"{_SERVICE}/WatchScenarios": "read",
}
"""What a caller must be allowed to do, by full name of the method."""

_SCENARIO = codec.CODECS[ScenarioExtracted.__name__]
_FOUND = Codec(FoundScenario, pb.FoundScenario)

_GET_SCENARIO = rpc(f"{_SERVICE}/GetScenario", pb.GetScenarioResponse)


class ScenarioExtractionServicer(ScenarioExtractionServiceServicer):
    """Answers for the scenario library."""

    def __init__(
        self,
        index: ScenarioIndex,
        search: ScenarioSearch,
        scenarios: Fanout[ScenarioExtracted],
        peers: Replicas,
    ) -> None:
        self._index = index
        self._search = search
        self._scenarios = scenarios
        self._peers = peers

    async def GetScenario(
        self, request: pb.GetScenarioRequest, context: Context
    ) -> pb.GetScenarioResponse:
        """Return one scenario."""
        return await anywhere(self._scenario(request), self._peers, _GET_SCENARIO, request, context)

    async def _scenario(self, request: pb.GetScenarioRequest) -> pb.GetScenarioResponse:
        scenario = self._index.get(request.scenario_id)
        return pb.GetScenarioResponse(scenario=_SCENARIO.to_message(scenario))

    async def SearchScenarios(
        self, request: pb.SearchScenariosRequest, context: Context
    ) -> pb.SearchScenariosResponse:
        """Return the scenarios nearest to a text."""
        found = await self._search.search(request.query, request.limit, request.region)
        return pb.SearchScenariosResponse(scenarios=map(_FOUND.to_message, found))

    async def WatchScenarios(self, request: pb.WatchScenariosRequest, context: Context) -> None:
        """Send scenarios as they are extracted."""
        wanted = request.region
        await self._scenarios.forward(
            context,
            lambda scenario: wanted in ("", scenario.region),
            lambda scenario: pb.WatchScenariosResponse(scenario=_SCENARIO.to_message(scenario)),
        )
