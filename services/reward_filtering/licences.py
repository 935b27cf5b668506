"""Licences of the models that made a dataset, as their users state them."""

import json
from collections.abc import Iterable, Mapping

from services.runtime.errors import Rejected

MAX_LICENCE = 100
"""Characters of a licence's name."""
_FORM = 'give MODEL=LICENCE,... or {"MODEL": "LICENCE", ...}'
HUB_LICENCES = frozenset(
    """
    afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m
    bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause
    bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0
    cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
    cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0
    epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 fair-noncommercial-research-license gemma gfdl
    gpl gpl-2.0 gpl-3.0 grok2-community h-research intel-research isc lgpl lgpl-2.1 lgpl-3.0
    lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa
    odbl odc-by ofl-1.1 openmdw-1.0 openmdw-1.1 openrail openrail++ osl-3.0 pddl postgresql
    unlicense wtfpl zlib
    """.split()
)
"""What the Hugging Face Hub takes for `license` in a card's head, but for `other` and `unknown`."""


def read_licences(text: str, source: str) -> dict[str, str]:
    """Read licences by the names of their models.

    A model's name may hold "=", a licence's not. One that holds "," takes the JSON form.

    Args:
        text: A JSON object, or `model=licence,model=licence`; may be empty.
        source: What to call it in messages.

    Raises:
        Rejected: It is neither, or a model has two licences.
    """
    return checked_licences(_pairs(text.strip(), source), source)


def _pairs(text: str, source: str) -> list[tuple[object, object]]:
    if not text.startswith("{"):
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        if wrong := next((entry for entry in entries if "=" not in entry), None):
            raise Rejected(f"{source}: {wrong!r} names no licence; {_FORM}")
        parts = [entry.rpartition("=") for entry in entries]
        return [(name, licence) for name, _, licence in parts]
    try:
        return list(json.loads(text, object_pairs_hook=_Object))
    except (ValueError, RecursionError) as error:
        raise Rejected(f"{source}: no JSON object ({error}); {_FORM}") from None


class _Object(list[tuple[object, object]]):
    """The members of a JSON object, repeated ones too."""


def checked_licences(pairs: Iterable[tuple[object, object]], source: str) -> dict[str, str]:
    """Return licences by the names of their models, without the blanks around them.

    Args:
        pairs: Models and licences.
        source: What to call them in messages.

    Raises:
        Rejected: One is empty, no text, or too long, or a model has two licences.
    """
    found: dict[str, str] = {}
    for model, licence in pairs:
        if not isinstance(model, str) or not isinstance(licence, str):
            raise Rejected(f"{source}: the licence of {model!r} is {licence!r}, no text; {_FORM}")
        name, stated = model.strip(), licence.strip()
        if not name or not stated or len(stated) > MAX_LICENCE or not stated.isprintable():
            raise Rejected(
                f"{source}: model {name!r} with licence {stated!r}: give both, a licence by its "
                f"SPDX id, such as Apache-2.0, in at most {MAX_LICENCE} characters"
            )
        if found.setdefault(name, stated) != stated:
            raise Rejected(
                f"{source}: model {name!r} has two licences, {found[name]!r} and {stated!r}: "
                "give one"
            )
    return found


def common_licence(models: Iterable[str], licences: Mapping[str, str]) -> str:
    """Return the Hub's name of the one licence that all models have; empty when there is none.

    Args:
        models: Names of models.
        licences: Those that are stated, by model.
    """
    stated = {licences.get(model, "").lower() for model in models}
    (only,) = stated if len(stated) == 1 else ("",)
    return only if only in HUB_LICENCES else ""
