"""The changelog's records."""

from matrix.instruction_generation.v1 import state_pb2

from services.instruction_generation.domain import GroupClaims
from services.runtime.protobuf import Codec

GROUP_CLAIMS = Codec(GroupClaims, state_pb2.GroupClaims)
