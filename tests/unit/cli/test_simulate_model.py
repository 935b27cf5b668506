"""What `matrix simulate-model` serves."""

from collections.abc import Callable
from dataclasses import fields

import pytest
from typer.testing import CliRunner

import services.cli.simulate
from services.cli.commands import app_for
from services.local.simulator import PRESETS, SimulatorSettings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimulatorSettings]:
    """Settings that a command line leads to."""
    made: list[SimulatorSettings] = []

    async def serve(settings: SimulatorSettings, _: object) -> None:
        made.append(settings)

    monkeypatch.setattr(services.cli.simulate, "serve_forever", serve)

    def run(*arguments: str) -> SimulatorSettings:
        app = app_for("simulate-model")
        result = CliRunner().invoke(app, ["simulate-model", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return made.pop()

    return run


def test_defaults_are_those_of_the_settings(served: Callable[..., SimulatorSettings]) -> None:
    assert served() == SimulatorSettings(port=8000)


def test_options_reach_the_settings(served: Callable[..., SimulatorSettings]) -> None:
    assert served(
        *("--name", "m", "--reward", "--slots", "3", "--waiting", "0", "--cut", "0.5"),
        *("--scheduling-policy", "priority", "--kv-blocks", "1000", "--dead-after", "7"),
    ) == SimulatorSettings(
        port=8000,
        model="m",
        score_head=True,
        slots=3,
        waiting=0,
        cut=0.5,
        scheduling_policy="priority",
        kv_blocks=1000,
        dead_after=7,
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_was_not_given(
    preset: str, served: Callable[..., SimulatorSettings]
) -> None:
    settings = served("--preset", preset, "--slots", "5", "--spread", "0.1")
    assert (settings.slots, settings.spread) == (5, 0.1)
    expected = {**PRESETS[preset], "slots": 5, "spread": 0.1, "port": 8000}
    assert settings == SimulatorSettings(**expected)  # type: ignore[arg-type]
    assert PRESETS[preset].keys() <= {field.name for field in fields(SimulatorSettings)}


def test_presets_have_their_latencies() -> None:
    def first_token(preset: str) -> float:
        values = PRESETS[preset]
        return values["seconds_per_call"] + 256 * values["seconds_per_prompt_token"]

    assert 0.060 <= first_token("h100-8b") <= 0.120
    assert 0.150 <= first_token("h100x8-70b") <= 0.250
    assert 0.080 <= first_token("l40s-3b") <= 0.130
    eight = PRESETS["h100-8b"]
    slowest = eight["seconds_per_token"] * (1 + eight["load_factor"])
    assert eight["seconds_per_token"] == 0.010
    assert slowest == pytest.approx(0.015)
    assert eight["slots"] == 1024
