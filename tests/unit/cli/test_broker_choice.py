"""Which broker a command talks to."""

from pathlib import Path

import pytest

from services.cli.broker import broker_settings
from services.runtime.errors import MatrixError, Rejected

VARIABLE = "MATRIX_KAFKA__BOOTSTRAP_SERVERS"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (VARIABLE, "MATRIX_SERVER"):
        monkeypatch.delenv(name, raising=False)


def endpoints(path: Path, broker: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"agent_state": ["a:1"], "kafka": "{broker}"}}')
    return str(path)


def test_what_is_given_counts_before_the_environment_and_that_before_what_runs_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert broker_settings().bootstrap_servers == "127.0.0.1:9092"
    endpoints(tmp_path / "data/up/endpoints.json", "here:1")
    assert broker_settings().bootstrap_servers == "here:1"
    monkeypatch.setenv("MATRIX_SERVER", "services.example:443")
    assert broker_settings().bootstrap_servers == "here:1"
    monkeypatch.setenv("MATRIX_SERVER", endpoints(tmp_path / "named.json", "named:1"))
    assert broker_settings().bootstrap_servers == "named:1"
    monkeypatch.setenv(VARIABLE, "environment:1")
    assert broker_settings().bootstrap_servers == "environment:1"
    given = endpoints(tmp_path / "given.json", "given:1")
    assert broker_settings(given).bootstrap_servers == "given:1"


def test_the_other_settings_are_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATRIX_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    given = endpoints(tmp_path / "given.json", "given:1")
    assert broker_settings(given).security_protocol == "SASL_SSL"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kafka": 3}', '{"kafka": ""}', "\xff"])
def test_a_file_without_a_broker_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "e.json"
    path.write_text(content)
    with pytest.raises(Rejected, match=f"names no broker of a `matrix up`: set {VARIABLE}"):
        broker_settings(str(path))
    with pytest.raises(MatrixError, match=r"gone\.json"):
        broker_settings(str(tmp_path / "gone.json"))
