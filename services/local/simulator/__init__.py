"""A simulated model: a vLLM-compatible HTTP server for tests and trials without a model.

Its answers are deterministic and take their words and decisions from the prompt, so that routing,
diversity and filtering can be tested; their worth as text is nil. Wire format, error bodies and
status codes follow recordings of vLLM 0.32 (tests/recordings).

    HTTP: server > endpoints, information > http > responses, wire, constraints, fields, refusals
    bodies: replies, streams, token_reports, exposition (/metrics)
    calls: engine > call, scheduler (slots, queue), kv_cache, loaded_clock, measurements, faults
    settings, presets
    content: answers > conforming, writer > prose, choosing > prompt, vocabulary; embeddings, tokens
"""

from services.local.simulator.call import LoggedCall
from services.local.simulator.presets import PRESETS
from services.local.simulator.server import Simulator, serve_forever
from services.local.simulator.settings import SimulatorSettings

__all__ = ["PRESETS", "LoggedCall", "Simulator", "SimulatorSettings", "serve_forever"]
