"""Options of `matrix run` and `matrix datasets create` that say what an order is narrowed to."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from matrix.instruction_generation.v1 import service_pb2 as pb

from services.cli.filters import filter_overrides
from services.instruction_generation.knobs import Knobs
from services.runtime.errors import Rejected

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_TOKENS_PER_WORD = 2
"""Room for a word of most languages; English takes 1.3."""
_TOKENS = (16, 8192)
"""Least and most that `max_response_tokens` may be."""


class BalanceChoice(StrEnum):
    """How samples are divided among the strata to begin with."""

    population = "population"
    even = "even"


class SteerChoice(StrEnum):
    """What the budget follows."""

    none = "none"
    acceptance = "acceptance"
    learnability = "learnability"


CategoryOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="A task: one of the kind's kind.toml, or your own words; may be repeated. By default "
        "all of the kind.",
    ),
]
ComplexityOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="N|N-M", help="1 (simple) to 5 (specialised), as 3 or 3-5; may be repeated."
    ),
]
StyleOption = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="How the person asks; given as --category."),
]
LanguageOption = Annotated[
    str, typer.Option(help="Of requests and answers, as pt (ISO 639-1): asked for and filtered.")
]
ResponseWordsOption = Annotated[
    str,
    typer.Option(metavar="N-M", help="Length of a response in words: asked for and filtered."),
]
BalanceOption = Annotated[
    BalanceChoice | None,
    typer.Option(
        help="Samples of each region of the society to begin with: by its people, or equally "
        "many; by default population.",
        show_default=False,
    ),
]
SteerOption = Annotated[
    SteerChoice | None,
    typer.Option(
        help="Where the budget goes: to what is accepted per token, to what the student learns "
        "most from (kinds reasoning and code), or all in turn; by default as the kind says.",
        show_default=False,
    ),
]


def knobs_of(
    categories: Sequence[str] | None,
    complexities: Sequence[str] | None,
    styles: Sequence[str] | None,
    balance: BalanceChoice | None,
    steer: SteerChoice | None,
) -> Knobs:
    """Return knobs as typed; whether they can be, the service says.

    Raises:
        Rejected: a complexity is neither a number nor a range.
    """
    found: list[int] = []
    for text in complexities or ():
        first, last = _span("--complexity", text)
        if last > first + 9:
            raise Rejected(f"--complexity {text!r}: give 1 to 5, or a range in it, as 3-5")
        found += range(first, last + 1)
    return Knobs(
        tuple(categories or ()),
        tuple(found),
        tuple(styles or ()),
        balance.value if balance else "",
        steer.value if steer else "",
    )


def overrides(
    filters: Sequence[str] | None, language: str, response_words: str
) -> pb.FilterOverrides:
    """Return the settings of the filter that `--filter` and the options beside it ask for.

    A length in words is told to the teacher, and makes room for as many tokens.

    Raises:
        Rejected: a setting cannot be read, or is asked for twice.
    """
    asked = filter_overrides(filters or [])
    if language:
        _set(asked, "--language", language=language)
    if response_words:
        option = "--response-words"
        least, most = _span(option, response_words)
        _set(asked, option, min_response_words=least, max_response_words=most)
        _set(asked, option, tell_response_words=True)
        if not asked.HasField("max_response_tokens"):
            low, high = _TOKENS
            asked.max_response_tokens = min(high, max(low, _TOKENS_PER_WORD * most))
    return asked


def _set(asked: pb.FilterOverrides, option: str, **values: str | int | bool) -> None:
    for name, value in values.items():
        if asked.HasField(name):
            raise Rejected(f"{option} sets {name}: do not give it by --filter as well")
        setattr(asked, name, value)


def _span(option: str, text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text.replace(" ", ""))
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last:
        raise Rejected(f"{option} {text!r}: give a number or a range, as 3-5, the least first")
    return first, last
