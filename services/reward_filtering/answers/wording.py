"""Answers in words and as expressions, compared as written."""

import re
import unicodedata

__all__ = ["words_or_expression"]

_FUNCTIONS = frozenset("sqrt sin cos tan log exp min max".split())
_ARTICLES = frozenset(("a", "an", "the"))
_OPERATOR = re.compile(
    r"[+*/^=<>|\u00b1\u2260\u2264\u2265\u2248\u221e\u222a\u2229\u2208]|sqrt\("
    r"|(?<![^\W\d_]{2})-(?=[\w(])(?![^\W\d_]{2})|[(\[{][^\W_]+,|\d,\s?-?\d"
)


def _is_expression(text: str) -> bool:
    long = re.findall(r"[^\W\d_]{3,}", text)
    return _OPERATOR.search(text) is not None and _FUNCTIONS.issuperset(long)


def _expression(text: str) -> str:
    """Return an expression without spaces, closing punctuation and signs of multiplication."""
    text = "".join(text.split()).rstrip(".,;:")
    return re.sub(r"(?<=[\w)])\*(?=[^\W\d_]|\()", "", text)


def _bare_words(text: str) -> str:
    """Return words without articles and punctuation; what stands inside of numbers stays."""
    kept = []
    for place, char in enumerate(text):
        kind = unicodedata.category(char)[0]
        before, after = text[place - 1 : place] if place else "", text[place + 1 : place + 2]
        inside_number = char in ".,:/" and before.isdigit() and after.isdigit()
        minus = char == "-" and after.isdigit() and not before.isalnum()
        if kind in "LNMS" or inside_number or minus:
            kept.append(char)
        elif char != "'":
            kept.append(" ")
    words = "".join(kept).split()
    return " ".join([word for word in words if word not in _ARTICLES] or words)


def words_or_expression(text: str) -> str:
    """Return the canonical form of an answer in plain notation that has no other.

    An expression loses its spaces and signs of multiplication, a text its articles and
    punctuation, both their case.
    """
    folded = unicodedata.normalize("NFKC", text.casefold())
    return _expression(folded) if _is_expression(folded) else _bare_words(folded)
