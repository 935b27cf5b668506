"""Which final answers are the same, and which one most attempts agree on."""

from collections import Counter
from collections.abc import Sequence

from services.reward_filtering.answers.reading import Reading, read

__all__ = ["majority", "normalised", "same_answer"]


def normalised(answer: str) -> str:
    r"""Return the canonical form of an answer, "" if it says nothing.

    Numbers are exact (`1e3` is 1000, `\frac{1}{3}` is 1/3), units have one symbol (`5 km`), times
    the 24-hour clock (`15:30`), choices one capital letter, texts no case, articles or
    punctuation. The canonical form of a canonical form is itself.
    """
    return read(answer).text


def _same(first: Reading, second: Reading) -> bool:
    if first.full == second.full:
        return True
    if first.is_bare:
        return first.bare in second.short_forms
    return second.is_bare and second.bare in first.short_forms


def same_answer(a: str, b: str) -> bool:
    """Tell whether two final answers say the same.

    Quantities are compared exactly and in the base of their dimension: 5 km is 5000 m, and 1/3 is
    not 0.33, since how far to round is the question's affair. An answer without its unit is the
    same as one with it (5 and 5 km), a percentage as either number (50% and 50, 50% and 0.5), the
    letter of a choice as the letter with its words; so the relation is reflexive and symmetric,
    but not transitive: 5 km and 5 m are both the same as 5.

    Expressions are compared as written, without algebra: x^2+1 is not 1+x^2.
    """
    return _same(read(a), read(b))


def majority(answers: Sequence[str]) -> tuple[str, int]:
    """Return the answer that most attempts agree on, and how many do; ("", 0) if there is none.

    A class is one full answer with all that are short for it: of 5 km, 5 and 5 m, either length
    has two votes. It is returned as the first full answer that all of the class are the same as.
    Of equal classes the one that occurs first wins. Answers that say nothing have no vote.
    """
    readings = [read(answer) for answer in answers]
    first_places = {
        reading.full: place
        for place, reading in reversed(list(enumerate(readings)))
        if reading.text
    }
    votes = Counter(reading.full for reading in readings if reading.text)
    # Of every full answer: what may be short for it, and where it is first written so.
    shorts: dict[str, dict[str, int]] = {}
    for place, reading in enumerate(readings):
        if reading.text:
            of_full = shorts.setdefault(reading.full, {})
            for form in () if reading.is_bare else sorted(reading.short_forms):
                of_full.setdefault(form, place)
    best: tuple[str, int] = ("", 0)
    best_first = len(answers)
    for full, places in shorts.items():
        # Answers are short for one thing at a time: 50% has the votes of 50 or those of 0.5.
        short = max(places, key=lambda form: votes[form], default="")
        size = votes[full] + votes[short]
        first = min(first_places[full], first_places.get(short, len(answers)))
        if size > best[1] or (size == best[1] and first < best_first):
            written = places[short] if votes[short] else first_places[full]
            best, best_first = (answers[written], size), first
    return best
