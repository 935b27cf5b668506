"""What a simulated model server is like: its names, limits, speed and faults."""

from dataclasses import dataclass

_RATES = ("error_500", "error_503", "garbage", "truncated", "cut", "hang")
_AT_LEAST_1 = ("max_model_len", "slots", "block_size", "kv_blocks", "dead_after")
_AT_LEAST_0 = (
    *("port", "waiting", "seconds_per_call", "seconds_per_prompt_token", "seconds_per_token"),
    *("load_factor", "spread", "loading_seconds"),
)
POLICIES = ("fcfs", "priority")


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
    """Sequences worked on at once (vLLM's `max_num_seqs`): each choice of a call, each text of an
    embeddings call is one. Further ones wait."""
    waiting: int | None = None
    """Sequences that may wait for a slot; a call that brings more is refused with 503. None: no
    bound."""
    scheduling_policy: str = "fcfs"
    """`fcfs`, or `priority`: who asks with the lowest `priority` comes first."""
    seconds_per_call: float = 0.0
    """Time that each sequence takes before its first token, whatever its prompt."""
    seconds_per_prompt_token: float = 0.0
    """Time per token of the prompt that the prefix cache does not have, before the first token."""
    seconds_per_token: float = 0.0
    """Time per token after the first one, on an idle server."""
    load_factor: float = 0.0
    """How much longer each token takes when all slots are taken: 0.5 is half as long again. In
    between it grows linearly with the slots that are taken."""
    spread: float = 0.0
    """Sigma of a lognormal factor of mean 1 on all times of a call; 0: none."""
    block_size: int = 16
    """Tokens in a block of the KV cache."""
    kv_blocks: int | None = None
    """Blocks of the KV cache. Sequences for which there are not enough wait; what is left of others
    serves prompts that begin equally. None: no KV cache is simulated."""
    loading_seconds: float = 0.0
    """Time after the start for which connections are refused."""
    dead_after: int | None = None
    """Answered calls after which the engine dies for good. None: never."""
    error_500: float = 0.0
    """Share of calls answered with 500."""
    error_503: float = 0.0
    """Share of calls answered with 503."""
    garbage: float = 0.0
    """Share of calls answered with 200 and a body that is not JSON."""
    truncated: float = 0.0
    """Share of generating calls whose answers break off half way, with finish reason `length`."""
    cut: float = 0.0
    """Share of calls whose connection is cut half way through the answer."""
    hang: float = 0.0
    """Share of calls that are never answered: until the client goes or the server stops."""
    stray_index: float = 0.0
    """Share of choices from a numbered list that name an entry which is not on it."""

    def __post_init__(self) -> None:
        if not self.names or not all(self.names):
            raise ValueError(f"model: expected one or more names, got {self.model!r}")
        for least, fields in ((1, _AT_LEAST_1), (0, _AT_LEAST_0)):
            for name in fields:
                value = getattr(self, name)
                if value is not None and not value >= least:
                    raise ValueError(f"{name}: expected {least} or more, got {value}")
        if self.scheduling_policy not in POLICIES:
            expected = " or ".join(POLICIES)
            raise ValueError(
                f"scheduling_policy: expected {expected}, got {self.scheduling_policy!r}"
            )
        if self.kv_blocks is not None and self.kv_blocks * self.block_size < self.max_model_len:
            raise ValueError(
                f"kv_blocks: {self.kv_blocks} of {self.block_size} tokens hold less than one "
                f"sequence of max_model_len {self.max_model_len}"
            )
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
