"""What one run is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.instruction_generation.knobs import Knobs
from services.local.endpoints import ModelChoice
from services.message_modulation.domain import Communication


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What `matrix run` was asked for."""

    out: Path
    model: ModelChoice
    agents: int = 25
    samples: int = 12
    kind: str = "sft"
    requirement: str = ""
    name: str = ""
    """Of the dataset; the kind when empty."""
    profiles: Path | None = None
    seed: int = 0
    communication: Communication = "structured"
    deterministic: bool = False
    filters: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the kind's filter that differ, by name."""
    knobs: Knobs = field(default_factory=Knobs)
    """What the dataset is narrowed to, and where its budget goes."""
    benchmarks: tuple[Path, ...] = ()
    """Files of benchmark items that no instruction may repeat."""

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.name or self.kind
