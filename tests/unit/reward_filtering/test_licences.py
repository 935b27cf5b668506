"""Licences of models: read from a setting, refused with a reason, and one for all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.licences import (
    HUB_LICENCES,
    MAX_LICENCE,
    checked_licences,
    common_licence,
    read_licences,
)
from services.runtime.errors import Rejected


def read(text: str) -> dict[str, str]:
    return read_licences(text, "MATRIX_MODEL_LICENCES")


@pytest.mark.parametrize(
    "text",
    [
        "Qwen/Qwen3-8B=Apache-2.0,judge=MIT",
        " judge = MIT , Qwen/Qwen3-8B = Apache-2.0, ",
        '{"Qwen/Qwen3-8B": "Apache-2.0", "judge": "MIT"}',
        '\n{"judge": " MIT ", "Qwen/Qwen3-8B": "Apache-2.0"}',
        "Qwen/Qwen3-8B=Apache-2.0,judge=MIT,judge=MIT",
    ],
)
def test_pairs_and_json_say_the_same(text: str) -> None:
    assert read(text) == {"Qwen/Qwen3-8B": "Apache-2.0", "judge": "MIT"}


def test_nothing_is_no_licence_and_a_name_may_hold_the_sign() -> None:
    assert read("") == read(" ") == read("{}") == {}
    assert read("a=b=MIT") == {"a=b": "MIT"}
    assert read('{"a,b": "MIT"}') == {"a,b": "MIT"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Qwen3", "'Qwen3' names no licence; give MODEL=LICENCE"),
        ("=MIT", "model '' with licence 'MIT': give both"),
        ("Qwen3=", "model 'Qwen3' with licence '': give both"),
        (f"m={'x' * (MAX_LICENCE + 1)}", f"in at most {MAX_LICENCE} characters"),
        ("m=a\nb", "give both, a licence by its"),
        ("m=MIT,m=Apache-2.0", "model 'm' has two licences, 'MIT' and 'Apache-2.0': give one"),
        ('{"m": "MIT", "m": "Apache-2.0"}', "'m' has two licences"),
        ('{"m": 3}', "the licence of 'm' is 3, no text"),
        ('{"m": ["MIT"]}', "no text; give MODEL=LICENCE"),
        ('{"m": "MIT"', "no JSON object"),
        ('{"m": "MIT"} x', "no JSON object"),
        ("{" * 100_000, "no JSON object"),
        ('{"m":' + "[" * 100_000, "no JSON object"),
    ],
)
def test_what_cannot_be_read_is_told_by_the_settings_name(text: str, told: str) -> None:
    with pytest.raises(Rejected) as refused:
        read(text)
    assert str(refused.value).startswith("MATRIX_MODEL_LICENCES: ")
    assert told in str(refused.value)


@given(st.text())
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    try:
        found = read(text)
    except Rejected:
        return
    assert all(model and licence for model, licence in found.items())
    assert read(json.dumps(found)) == found


def test_one_licence_of_all_models_is_told_by_the_hubs_name() -> None:
    licences = {"a": "Apache-2.0", "b": "apache-2.0", "c": "MIT", "d": "LicenseRef-ours"}
    assert common_licence(["a", "b"], licences) == "apache-2.0"
    assert common_licence(["a", "c"], licences) == ""
    assert common_licence(["a", "unknown"], licences) == ""
    assert common_licence(["d"], licences) == ""
    assert common_licence([], licences) == ""
    assert checked_licences([("a", "MIT")], "x") == {"a": "MIT"}


def test_the_hubs_names_are_in_small_letters_and_say_something() -> None:
    assert {"apache-2.0", "mit", "cc-by-4.0", "llama3.1", "gemma"} <= HUB_LICENCES
    assert all(name == name.lower() for name in HUB_LICENCES)
    assert HUB_LICENCES.isdisjoint({"other", "unknown", "array"})
