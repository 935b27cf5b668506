"""One plain notation for what models write: LaTeX, Markdown, other digits and signs."""

import re
import unicodedata

__all__ = ["MAX_ANSWER_CHARS", "plain"]

MAX_ANSWER_CHARS = 1_000
"""Characters of the longest answer that is read; a longer one only equals itself."""

_ROUNDS = MAX_ANSWER_CHARS // 4
"""Depth to which nested LaTeX is unfolded: as deep as it can be within the longest answer."""

_COMMANDS = {
    **{"pi": "\u03c0", "infty": "\u221e", "cdot": "*", "times": "*", "div": "/", "pm": "\u00b1"},
    **{"le": "\u2264", "leq": "\u2264", "ge": "\u2265", "geq": "\u2265", "ne": "\u2260"},
    **{"neq": "\u2260", "lt": "<", "gt": ">", "approx": "\u2248", "circ": "\u00b0"},
    **{"degree": "\u00b0", "cup": "\u222a", "cap": "\u2229", "in": "\u2208", "dots": "..."},
    **{"ldots": "...", "cdots": "...", "euro": "\u20ac", "pounds": "\u00a3", "quad": " "},
    **{"qquad": " ", "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": ""},
    **{"displaystyle": "", "%": "%", "$": "$", "&": "&", "#": "#", "_": "_", "!": ""},
    **{"{": "\u2983", "}": "\u2984"},
}
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u02bc", "'"),
        **dict.fromkeys("\u00d7\u00b7\u22c5\u2217", "*"),
        **{
            "\u00f7": "/",
            "\u2044": "/",
            "\u2215": "/",
            "\u066b": ".",
            "\u066c": ",",
            "\u00ba": "\u00b0",
        },
    }
)
_SUPERSCRIPT = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207a\u207b\u207f]+")
_STYLES = "text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname|mbox|emph|bm"
_STYLED = re.compile(rf"\\(?:{_STYLES}|underline|boxed|fbox)\s*\{{([^{{}}]*)\}}")
_FRACTION = re.compile(r"(\d?)\\[dtc]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))")
_ROOT = re.compile(r"\\sqrt\s*\{([^{}]*)\}|\u221a\s*(?:(\d+|[^\W\d_])|(?=\())")
_SCRIPT = re.compile(r"([\^_])\{([^{}]*)\}")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
# Pandoc's rule for mathematics between dollars, which tells them from sums of money.
_DOLLARS = re.compile(r"(?<!\\)\$(?=\S)((?:\\.|[^$\\])*?)(?<=[^\s\\])\$(?!\d)", re.DOTALL)
_EMPHASIS = [
    re.compile(rf"(?<![\w*]){mark}(?=\S)([^*_`]+)(?<=\S){mark}(?![\w*])")
    for mark in (r"\*\*", r"\*", "__", "_", "`")
]


def _atom(text: str) -> str:
    text = text.strip()
    return text if re.fullmatch(r"-?[\w.]+", text) else f"({text})"


def _fraction(match: re.Match[str]) -> str:
    above, below = (match[2], match[3]) if match[2] is not None else (match[4], match[5])
    whole = f"{match[1]} " if match[1] else ""
    return f"{whole}{_atom(above)}/{_atom(below)}"


def _root(match: re.Match[str]) -> str:
    inside = match[1] if match[1] is not None else match[2]
    return "sqrt" if inside is None else f"sqrt({inside})"


def _command(match: re.Match[str]) -> str:
    name = match[1]
    return _COMMANDS.get(name, name if name.isalpha() else " ")


def _without_latex(text: str) -> str:
    text = text.replace("$$", "$").replace("{,}", ",")
    text = re.sub(r"(?<=\w)~(?=[\w\\])", " ", _DOLLARS.sub(r"\1", text))
    # A set keeps its braces; they must not pass for those of an argument.
    text = text.replace(r"\{", "\u2983").replace(r"\}", "\u2984")
    for _ in range(_ROUNDS):
        before = text
        text = _STYLED.sub(r"\1", text)
        text = _FRACTION.sub(_fraction, text)
        text = _ROOT.sub(_root, text)
        text = _SCRIPT.sub(lambda match: match[1] + _atom(match[2]), text)
        if text == before:
            break
    text = _COMMAND.sub(_command, text).replace("^\u00b0", "\u00b0")
    return text.translate({0x2983: "{", 0x2984: "}"})


def _composed(text: str) -> str:
    """Return the NFKC form, in which fractions and powers remain what they are."""
    spelled = []
    for char in text:
        if unicodedata.decomposition(char).startswith("<fraction>"):
            spelled.append(f" {unicodedata.normalize('NFKC', char)}")
        else:
            spelled.append(char)
    text = _SUPERSCRIPT.sub(lambda m: "^" + unicodedata.normalize("NFKC", m[0]), "".join(spelled))
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    return "".join(
        char if char.isascii() or (digit := unicodedata.decimal(char, None)) is None else str(digit)
        for char in text
    )


def plain(text: str) -> str:
    r"""Return an answer in plain notation: one line, no LaTeX or Markdown, ASCII digits and signs.

    `\frac{1}{2}` becomes 1/2, a superscript 5 and `^{5}` become ^5, `**x**` becomes x. Case, words
    and punctuation stay. What is longer than `MAX_ANSWER_CHARS` is returned as it is.
    """
    text = text.strip()
    if len(text) > MAX_ANSWER_CHARS:
        return text
    composed = _composed(text)
    # Compatibility forms of one character can have 18.
    if len(composed) > 2 * MAX_ANSWER_CHARS:
        return text
    composed = _without_latex(composed)
    for pattern in _EMPHASIS:
        composed = pattern.sub(r"\1", composed)
    for written, sign in (("<=", "\u2264"), (">=", "\u2265"), ("!=", "\u2260"), ("**", "^")):
        composed = composed.replace(written, sign)
    return " ".join(composed.split())
