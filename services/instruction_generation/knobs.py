"""What an order may decide beside its kind and filter: which requests, of which strata, by what."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.kinds import BENIGN, Kind, check_steer
from services.runtime.errors import Rejected

BALANCES = ("population", "even")
"""How samples are divided among the strata: in proportion to their agents, or equally."""
COMPLEXITIES = range(1, 6)
MAX_NAME = 100
"""Characters of a category or style."""
MAX_REQUIREMENTS = 500
"""Cells of category, complexity and style; an order holds them all, each with its field."""
TYPO = 0.9
"""Similarity (difflib) from which a name is taken for a misspelt known one: one wrong letter in
ten, two in twenty."""
HARMFUL = "harmful"
"""How the style of a safety requirement begins whose request is to be refused."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a customer narrows an order to; what is empty is as the kind says."""

    categories: tuple[str, ...] = ()
    """Tasks, by the kind's names or in free text."""
    complexities: tuple[int, ...] = ()
    """1 (simple) to 5 (specialised)."""
    styles: tuple[str, ...] = ()
    """Tones of the requests, by the kind's names or in free text."""
    balance: str = ""
    """One of `BALANCES`, the first when empty."""
    steer: str = ""
    """One of `services.kinds.STEERS`."""


def settled(knobs: Knobs, kind: Kind) -> Knobs:
    """Return knobs in the one form in which equal ones are equal, with the defaults of the kind.

    Names are those of the kind where they differ in case or spaces only; each is there once, in
    order.

    Raises:
        Rejected: one of them cannot be; the message names it and the known values.
    """
    balance, steer = knobs.balance or BALANCES[0], knobs.steer or kind.steer
    if balance not in BALANCES:
        raise Rejected(f"balance {balance!r} is unknown; known: {', '.join(BALANCES)}")
    check_steer(steer, kind.recipe)
    for complexity in knobs.complexities:
        if complexity not in COMPLEXITIES:
            raise Rejected(
                f"complexity {complexity}: give 1 (simple) to 5 (specialised); those of kind "
                f"{kind.name!r} are {', '.join(map(str, kind.complexities))}"
            )
    return Knobs(
        categories=_names("category", knobs.categories, kind.categories, kind.name),
        complexities=tuple(sorted(set(knobs.complexities))),
        styles=_names("style", knobs.styles, kind.styles, kind.name),
        balance=balance,
        steer=steer,
    )


def narrowed(kind: Kind, knobs: Knobs) -> Kind:
    """Return a kind with the categories, complexities and styles of settled knobs.

    Raises:
        Rejected: there are more requirements than an order can hold, or a style says not whether
            the request is harmful where the recipe depends on it.
    """
    found = replace(
        kind,
        categories=knobs.categories or kind.categories,
        complexities=knobs.complexities or kind.complexities,
        styles=knobs.styles or kind.styles,
    )
    cells = len(found.categories) * len(found.complexities) * len(found.styles)
    if cells > MAX_REQUIREMENTS:
        raise Rejected(
            f"{len(found.categories)} categories x {len(found.complexities)} complexities x "
            f"{len(found.styles)} styles are {cells} requirements: an order holds at most "
            f"{MAX_REQUIREMENTS}; give fewer"
        )
    if kind.recipe == "safety":
        for style in found.styles:
            if not style.startswith((BENIGN, HARMFUL)):
                raise Rejected(
                    f"style {style!r} of kind {kind.name!r}: begin it with {HARMFUL!r} (to be "
                    f"refused) or {BENIGN!r} (to be answered)"
                )
    return found


def check_benign(kind: Kind, min_benign_share: float) -> None:
    """Refuse an order of harmful requests alone that keeps room for benign ones: it never fills.

    Raises:
        Rejected: the recipe is `safety`, no style is benign, and their share is above 0.
    """
    if kind.recipe == "safety" and min_benign_share > 0:
        if any(style.startswith(BENIGN) for style in kind.styles):
            return
        raise Rejected(
            f"none of the styles {', '.join(kind.styles)} is {BENIGN}, but of the accepted samples "
            f"{min_benign_share:g} are to be: add such a style, or give --filter min_benign_share=0"
        )


def weights(balance: str, regions: Mapping[str, int]) -> dict[str, float]:
    """Return the weight of each region (its agents are given) in a dataset of that balance."""
    return {
        region: 1.0 if balance == "even" else float(agents) for region, agents in regions.items()
    }


def _names(what: str, given: Sequence[str], known: Sequence[str], kind: str) -> tuple[str, ...]:
    return tuple(sorted({_name(what, text, known, kind) for text in given}))


def _name(what: str, text: str, known: Sequence[str], kind: str) -> str:
    name = " ".join(text.split())
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise Rejected(f"{what} {text!r}: give 1 to {MAX_NAME} characters that can be printed")
    folded = {each.casefold(): each for each in known}
    if name.casefold() in folded:
        return folded[name.casefold()]
    if near := difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=TYPO):
        raise Rejected(
            f"{what} {name!r} looks like a misspelt {folded[near[0]]!r} of kind {kind!r}: give "
            f"that, or other words; known: {'; '.join(known)}"
        )
    return name
