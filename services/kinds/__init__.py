"""Dataset kinds: one folder each, with `kind.toml` (knobs, recipe, filter) and prompts.

`instruction.md` makes the request; what other prompts there must be follows from the recipe, by
which a request becomes a sample (`RECIPES`), and a `judge.md` stands in for the usual judge. To add
a kind, add a folder; nothing else changes.
"""

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from services.events import FilterSpec, Requirement
from services.events.filters import overridden
from services.runtime.errors import NotFound, Rejected
from services.runtime.prompts import Prompt

MAX_DOMAIN = 2000
"""Characters of a requirement text; every requirement of an order holds it."""
RECIPES: dict[str, tuple[str, ...]] = {
    "answer": (),
    "pair": (),
    "reasoning": ("answer",),
    "code": ("answer", "tests"),
    "safety": ("answer",),
    "conversation": ("reply",),
}
"""How an instruction becomes a sample, and the prompts that it takes beside `instruction.md`:

answer         the best of n responses
pair           chosen: the best of the teacher's; rejected: the worst of the student's
reasoning      trace and final answer; the student's success rate by comparing answers
code           solution and tests, executed; the student's success rate by the tests
safety         a refusal that helps, or an answer where the request is benign
conversation   2 to 6 turns, in which the person reacts to the answers
"""
MEASURE_LEARNABILITY = frozenset(("reasoning", "code"))
"""Recipes whose verdicts say what the student learns from a sample."""
STEERS = ("none", "acceptance", "learnability")
"""What the budget of a dataset may follow."""
BENIGN = "benign"
"""How the style of a safety requirement begins whose request only looks harmful."""
_KNOBS = {
    "description": "",
    "recipe": "",
    "needs_domain": False,
    "categories": ("",),
    "complexities": (0,),
    "styles": ("",),
    "filter": {},
}
"""Knobs of a kind's file, with a value of their type; those of its filter have defaults."""
_OPTIONAL = {"steer": "acceptance"}
"""Knobs that a kind's file may leave out, with their defaults."""
_FILTER_KNOBS = asdict(FilterSpec())


@dataclass(frozen=True)
class Kind:
    """One kind of dataset."""

    name: str
    description: str
    recipe: str
    needs_domain: bool
    categories: tuple[str, ...]
    complexities: tuple[int, ...]
    styles: tuple[str, ...]
    filter: FilterSpec
    prompts: Mapping[str, Prompt]
    """By the name of their file, without `.md`."""
    steer: str = "acceptance"
    """What the budget follows, one of `STEERS`, unless an order says otherwise."""

    @property
    def runs_code(self) -> bool:
        """Whether its samples are made by executing generated code."""
        return self.recipe == "code"

    def requirements(self, domain: str, seed: int) -> tuple[Requirement, ...]:
        """Return every category x complexity x style, shuffled, so that any stretch is mixed.

        Raises:
            Rejected: the kind needs a domain and none is given, or the other way round; or it is
                longer than `MAX_DOMAIN`.
        """
        if len(domain) > MAX_DOMAIN:
            raise Rejected(
                f"requirement text of {len(domain)} characters: give at most {MAX_DOMAIN}"
            )
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
        ValueError: a kind's file is no TOML, lacks a knob, or has one that is not known or of
            another type; the message names the file and the knob.
    """
    kinds = {}
    for path in sorted(folder.glob("*/kind.toml")):
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: {error}") from error
        fields = _OPTIONAL | _checked(given, _KNOBS, _OPTIONAL, f"{path}:")
        knobs = _checked(fields.pop("filter"), {}, _FILTER_KNOBS, f"{path}: [filter]")
        try:
            check_steer(fields["steer"], fields["recipe"])
            filter = overridden(FilterSpec(), knobs)
        except Rejected as error:
            raise ValueError(f"{path}: {error}") from error
        name = path.parent.name
        prompts = _prompts(path, fields["recipe"])
        kinds[name] = Kind(name=name, filter=filter, prompts=prompts, **fields)
    return kinds


def _prompts(path: Path, recipe: str) -> dict[str, Prompt]:
    if recipe not in RECIPES:
        raise ValueError(f"{path}: recipe {recipe!r} is unknown; known: {', '.join(RECIPES)}")
    files = {file.stem: file for file in path.parent.glob("*.md")}
    if missing := {"instruction", *RECIPES[recipe]} - files.keys():
        names = ", ".join(f"{name}.md" for name in sorted(missing))
        raise ValueError(f"{path}: recipe {recipe!r} takes {names} beside it")
    if unknown := files.keys() - {"instruction", "judge", *RECIPES[recipe]}:
        names = ", ".join(f"{name}.md" for name in sorted(unknown))
        raise ValueError(f"{path}: recipe {recipe!r} has no use for {names}")
    return {name: Prompt(file) for name, file in files.items()}


def check_steer(steer: str, recipe: str) -> None:
    """Refuse what the budget of a kind of that recipe cannot follow.

    Raises:
        Rejected: it is none of `STEERS`, or needs verdicts that measure learnability.
    """
    if steer not in STEERS:
        raise Rejected(f"steer {steer!r} is unknown; known: {', '.join(STEERS)}")
    if steer == "learnability" and recipe not in MEASURE_LEARNABILITY:
        recipes = ", ".join(sorted(MEASURE_LEARNABILITY))
        raise Rejected(
            f"steer 'learnability': recipe {recipe!r} does not measure it, only {recipes} do; give "
            "'acceptance' or 'none'"
        )


def _checked(
    given: dict[str, Any], needed: dict[str, Any], optional: dict[str, Any], place: str
) -> dict[str, Any]:
    """Return the knobs as given, lists as tuples."""
    known = needed | optional
    if missing := sorted(needed.keys() - given.keys()):
        raise ValueError(f"{place} lacks {', '.join(missing)}")
    if unknown := sorted(given.keys() - known.keys()):
        raise ValueError(
            f"{place} has unknown knobs: {', '.join(unknown)}; known: {', '.join(known)}"
        )
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    for key, value in values.items():
        if not is_like(value, known[key]):
            raise ValueError(f"{place} {key} is {value!r}, expected the like of {known[key]!r}")
    return values


def is_like(value: object, pattern: object) -> bool:
    """Return whether a value has the type of another one; a list, entries of that of its first."""
    if isinstance(value, tuple) and isinstance(pattern, tuple):
        return bool(value) and all(is_like(entry, pattern[0]) for entry in value)
    return type(value) is type(pattern) or (type(value) is int and isinstance(pattern, float))


def find_kind(kinds: Mapping[str, Kind], name: str) -> Kind:
    """Return a kind.

    Raises:
        NotFound: it is not among the known ones, which the message names.
    """
    if name not in kinds:
        raise NotFound(f"unknown dataset kind {name!r}; known: {', '.join(kinds)}")
    return kinds[name]
