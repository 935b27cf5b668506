"""The changelog's records."""

from matrix.message_modulation.v1 import state_pb2

from services.message_modulation.domain import ModulatorState
from services.runtime.protobuf import Codec

MODULATOR_STATE = Codec(ModulatorState, state_pb2.ModulatorState)
