"""The changelog's records."""

from matrix.scenario_extraction.v1 import state_pb2

from services.runtime.protobuf import Codec
from services.scenario_extraction.domain import WindowState

WINDOW_STATE = Codec(WindowState, state_pb2.WindowState)
