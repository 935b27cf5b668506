"""The local model's weights: made once, kept whole, and done without where they cannot be kept."""

from pathlib import Path

import numpy as np
import pytest

from services.local.licences import built_in_licences
from services.local.weights import fast_weights, weights, weights_licence

gguf = pytest.importorskip("gguf")


def test_weights_are_made_once_over_what_a_killed_process_left_and_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    original = weights()
    folder = tmp_path / "matrix-society"
    folder.mkdir()
    (folder / "SmolLM2-135M-Instruct.Q8_0.part").write_bytes(b"half made" * 1000)
    made = fast_weights(original)
    assert {path.name for path in folder.iterdir()} == {made.name, "lock"}
    before, after = (gguf.GGUFReader(path).tensors for path in (original, made))
    assert [t.name for t in before] == [t.name for t in after]
    for old, new in zip(before[:4], after[:4], strict=True):
        numbers = gguf.quants.dequantize(old.data, old.tensor_type)
        remade = gguf.quants.dequantize(new.data, new.tensor_type)
        assert np.abs(numbers - remade).max() <= np.abs(numbers).max() / 127
    written = made.stat().st_mtime_ns
    assert fast_weights(original) == made
    assert made.stat().st_mtime_ns == written


def test_without_a_place_to_keep_them_the_original_weights_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert fast_weights(weights()) == weights()


def test_weights_that_cannot_be_read_are_left_to_the_model_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    broken = tmp_path / "model.Q4_1.gguf"
    broken.write_bytes(b"not weights")
    assert fast_weights(broken) == broken


def test_the_licence_that_the_package_states_is_that_of_the_weights() -> None:
    stated = gguf.GGUFReader(weights()).fields["general.license"].contents()
    assert weights_licence().lower() == stated == "apache-2.0"
    assert built_in_licences() == {"SmolLM2-135M-Instruct": "Apache-2.0"}
