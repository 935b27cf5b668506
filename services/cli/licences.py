"""Licences of models for the export of a run: the built-in one's, the setting, the options."""

from collections.abc import Iterable

from services.local.licences import built_in_licences
from services.reward_filtering.licences import checked_licences, read_licences
from services.runtime.errors import Rejected
from services.runtime.settings import read_settings


def local_licences(given: Iterable[str]) -> dict[str, str]:
    """Return licences by model; an option counts before the setting, and that before a package.

    Args:
        given: `MODEL=LICENCE`, as typed.

    Raises:
        Rejected: one is no MODEL=LICENCE, or the setting cannot be read.
    """
    pairs = []
    for text in given:
        model, sign, licence = text.rpartition("=")
        if not sign:
            raise Rejected(f"--model-licence {text!r}: give MODEL=LICENCE, as Qwen3-8B=Apache-2.0")
        pairs.append((model, licence))
    setting = read_licences(read_settings().model_licences, "MATRIX_MODEL_LICENCES")
    return built_in_licences() | setting | checked_licences(pairs, "--model-licence")
