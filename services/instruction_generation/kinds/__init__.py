"""Dataset kinds: one folder each, with `kind.toml` (knobs, filter) and `instruction.md` (prompt).

To add a kind, add a folder; nothing else changes. `dpo`, `reasoning`, `code`, `safety` and
`multi_turn` have their place here and are not built yet.
"""

import itertools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from services.events import FilterSpec, Requirement
from services.runtime.errors import NotFound, Rejected
from services.runtime.prompts import Prompt


@dataclass(frozen=True)
class Kind:
    """One kind of dataset."""

    name: str
    description: str
    needs_domain: bool
    categories: tuple[str, ...]
    complexities: tuple[int, ...]
    styles: tuple[str, ...]
    filter: FilterSpec
    prompt: Prompt

    def requirements(self, domain: str, seed: int) -> tuple[Requirement, ...]:
        """Return every category x complexity x style, shuffled, so that any stretch is mixed.

        Raises:
            Rejected: the kind needs a domain and none is given, or the other way round.
        """
        if self.needs_domain != bool(domain.strip()):
            problem = "needs a requirement text" if self.needs_domain else "takes no requirement"
            raise Rejected(
                f"kind {self.name!r} {problem} (--requirement), e.g. "
                '--kind domain --requirement "hospital pharmacy"'
            )
        cells = list(itertools.product(self.categories, self.complexities, self.styles))
        Random(seed).shuffle(cells)
        return tuple(
            Requirement(f"r{number:03}", category, complexity, style, domain.strip())
            for number, (category, complexity, style) in enumerate(cells)
        )


def load_kinds(folder: Path = Path(__file__).parent) -> dict[str, Kind]:
    """Return the kinds by name.

    Raises:
        ValueError: a kind's file lacks a knob, or has one that is not known.
    """
    kinds = {}
    for path in sorted(folder.glob("*/kind.toml")):
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        knobs = fields.pop("filter")
        name = path.parent.name
        try:
            kinds[name] = Kind(
                name=name,
                prompt=Prompt(path.parent / "instruction.md"),
                filter=FilterSpec(**{**knobs, "stages": tuple(knobs["stages"])}),
                **_tuples(fields),
            )
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from error
    return kinds


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}


def find_kind(kinds: dict[str, Kind], name: str) -> Kind:
    """Return a kind.

    Raises:
        NotFound: it is not among the known ones, which the message names.
    """
    if name not in kinds:
        raise NotFound(f"unknown dataset kind {name!r}; known: {', '.join(kinds)}")
    return kinds[name]
