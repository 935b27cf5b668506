"""Licences for the export of a run: which source counts before which."""

import pytest

from services.cli.licences import local_licences
from services.local.licences import built_in_licences
from services.runtime.errors import Rejected

SETTING = "MATRIX_MODEL_LICENCES"


def test_an_option_counts_before_the_setting_and_that_before_a_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    assert local_licences(()) == built_in_licences()
    monkeypatch.setenv(SETTING, '{"SmolLM2-135M-Instruct": "MIT", "a": "MIT", "b": "MIT"}')
    assert local_licences(["b=Apache-2.0", "c=d=ISC"]) == {
        "SmolLM2-135M-Instruct": "MIT",
        "a": "MIT",
        "b": "Apache-2.0",
        "c=d": "ISC",
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["Qwen3"], "--model-licence 'Qwen3': give MODEL=LICENCE"),
        (["Qwen3="], "--model-licence: model 'Qwen3' with licence ''"),
        (["m=MIT", "m=ISC"], "--model-licence: model 'm' has two licences"),
    ],
)
def test_an_option_that_says_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: list[str], told: str
) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    with pytest.raises(Rejected) as refused:
        local_licences(given)
    assert told in str(refused.value)


def test_a_setting_that_cannot_be_read_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SETTING, "Qwen3")
    with pytest.raises(Rejected, match=f"^{SETTING}: 'Qwen3' names no licence"):
        local_licences(())
