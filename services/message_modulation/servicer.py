"""MessageModulationService: messages in, queries asked, messages out."""

from matrix.message_modulation.v1 import service_pb2 as pb
from matrix.message_modulation.v1.service_pb2_grpc import MessageModulationServiceServicer

from services.message_modulation.queries import GroupView, ModulationQueries, WatchedMessage
from services.runtime.answering import Replicas, anywhere, rpc
from services.runtime.callers import Permission
from services.runtime.grpc_handlers import Context
from services.runtime.protobuf import Codec
from services.runtime.streams import Fanout

NAME = "matrix.message_modulation.v1.MessageModulationService"
"""Full name of the service."""
_SERVICE = f"/{NAME}"
PERMISSIONS: dict[str, Permission] = {
    f"{_SERVICE}/GetGroup": "read",
    f"{_SERVICE}/WatchMessages": "read",
    f"{_SERVICE}/RouteAction": "operate",
}
"""What a caller must be allowed to do, by full name of the method; model calls are paid for."""

_VIEW = Codec(GroupView, pb.GroupView)
_MESSAGE = Codec(WatchedMessage, pb.WatchMessagesResponse)

_GET_GROUP = rpc(f"{_SERVICE}/GetGroup", pb.GetGroupResponse)
_ROUTE_ACTION = rpc(f"{_SERVICE}/RouteAction", pb.RouteActionResponse)


class MessageModulationServicer(MessageModulationServiceServicer):
    """Answers for the groups' modulators."""

    def __init__(
        self, queries: ModulationQueries, messages: Fanout[WatchedMessage], peers: Replicas
    ) -> None:
        self._queries = queries
        self._messages = messages
        self._peers = peers

    async def GetGroup(self, request: pb.GetGroupRequest, context: Context) -> pb.GetGroupResponse:
        """Return one group."""
        return await anywhere(self._group(request), self._peers, _GET_GROUP, request, context)

    async def _group(self, request: pb.GetGroupRequest) -> pb.GetGroupResponse:
        return pb.GetGroupResponse(group=_VIEW.to_message(self._queries.group(request.group_id)))

    async def WatchMessages(self, request: pb.WatchMessagesRequest, context: Context) -> None:
        """Send who becomes aware of what."""
        wanted = request.group_id
        await self._messages.forward(
            context, lambda watched: wanted in ("", watched.group_id), _MESSAGE.to_message
        )

    async def RouteAction(
        self, request: pb.RouteActionRequest, context: Context
    ) -> pb.RouteActionResponse:
        """Say who would become aware of an action."""
        return await anywhere(self._routed(request), self._peers, _ROUTE_ACTION, request, context)

    async def _routed(self, request: pb.RouteActionRequest) -> pb.RouteActionResponse:
        routed = await self._queries.rehearse(request.group_id, request.agent_id, request.text)
        return pb.RouteActionResponse(
            plausible=routed.plausible,
            aware_agent_ids=routed.aware_agent_ids,
            aware_group_ids=routed.aware_group_ids,
            reason=routed.reason,
        )
