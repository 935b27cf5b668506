"""The changelog's records."""

from matrix.agent_state.v1 import state_pb2

from services.agent_state.domain import GroupState
from services.runtime.protobuf import Codec

GROUP_STATE = Codec(GroupState, state_pb2.GroupState)
