"""What a simulated model server is like: its names, limits, speed and faults."""

from dataclasses import dataclass

_RATES = ("error_500", "error_503", "garbage", "truncated", "hang")


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Knobs of one simulated server.

    Raises:
        ValueError: a value is out of range; the message names the field.
    """

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any free port; `Simulator.start` tells which."""
    model: str | tuple[str, ...] = "simulated"
    """Names that the server answers to; the first one is what its answers say."""
    seed: int = 0
    """Another seed is another model: it answers every prompt differently."""
    score_head: bool = False
    """It is a reward model: it classifies, and generates nothing."""
    max_model_len: int = 8192
    """Tokens of prompt and answer together."""
    slots: int = 256
    """Calls worked on at once; further ones wait in order of arrival."""
    waiting: int | None = None
    """Calls that may wait for a slot; one more is refused with 503. None: no bound."""
    seconds_per_call: float = 0.0
    """Time that each call holds its slot."""
    seconds_per_token: float = 0.0
    """Time per token of the longest choice, on top of `seconds_per_call`."""
    error_500: float = 0.0
    """Share of calls answered with 500."""
    error_503: float = 0.0
    """Share of calls answered with 503."""
    garbage: float = 0.0
    """Share of calls answered with 200 and a body that is not JSON."""
    truncated: float = 0.0
    """Share of generating calls whose answers break off half way, with finish reason `length`."""
    hang: float = 0.0
    """Share of calls that are never answered: until the client goes or the server stops."""
    stray_index: float = 0.0
    """Share of choices from a numbered list that name an entry which is not on it."""

    def __post_init__(self) -> None:
        if not self.names or not all(self.names):
            raise ValueError(f"model: expected one or more names, got {self.model!r}")
        for name in ("max_model_len", "slots"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("port", "seconds_per_call", "seconds_per_token", "waiting"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name}: expected 0 or more, got {value}")
        for name in (*_RATES, "stray_index"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: expected a share from 0 to 1, got {getattr(self, name)}")
        total = sum(getattr(self, name) for name in _RATES)
        if total > 1.0 + 1e-9:
            raise ValueError(f"{' + '.join(_RATES)}: at most 1 together, got {total:g}")

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the model, the main one first."""
        return (self.model,) if isinstance(self.model, str) else self.model
