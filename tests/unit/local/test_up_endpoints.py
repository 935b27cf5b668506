"""Where commands find the services: in a file, in a list, behind one address, or here."""

import json
from pathlib import Path

import pytest

from services.local.up.endpoints import Endpoints, find_endpoints, write_endpoints
from services.runtime.errors import NotFound, Rejected

TWO = {"agent_state": ("127.0.0.1:11", "127.0.0.1:12"), "reward_filtering": ("127.0.0.1:13",)}


def test_what_the_platform_wrote_is_what_a_command_reads(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    written = Endpoints(TWO, token_file=tmp_path / "operator-token")
    write_endpoints(path, written)
    assert find_endpoints(str(path)) == written
    assert [entry.name for entry in tmp_path.iterdir()] == ["endpoints.json"]


def test_where_metrics_are_told_stands_beside_and_hinders_no_reader(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    metrics = {"agent_state": ("127.0.0.1:21",)}
    write_endpoints(path, Endpoints(TWO, metrics=metrics, prometheus="http://127.0.0.1:9090"))
    content = json.loads(path.read_text())
    assert content["metrics"] == {"agent_state": ["127.0.0.1:21"]}
    assert content["prometheus"] == "http://127.0.0.1:9090"
    assert find_endpoints(str(path)) == Endpoints(TWO)


def test_a_file_may_name_one_address_a_service(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text('{"agent_state": "matrix.example:8443"}')
    found = find_endpoints(str(tmp_path / "e.json"))
    assert found.addresses("agent_state") == ("matrix.example:8443",)


def test_a_list_names_services_one_by_one_and_replicas_too() -> None:
    found = find_endpoints("agent-state=a:1, reward_filtering=b:2,agent_state=a:3")
    assert found.services == {"agent_state": ("a:1", "a:3"), "reward_filtering": ("b:2",)}
    with pytest.raises(
        NotFound, match=r"no address of message_modulation is known \(only of agent"
    ):
        found.addresses("message_modulation")


@pytest.mark.parametrize("address", ["matrix.example:8443", "[::1]:80", "dns:///matrix:8443"])
def test_one_address_takes_the_calls_of_all_services(address: str) -> None:
    assert find_endpoints(address).addresses("agent_state") == (address,)


def test_without_an_option_the_variable_counts_and_then_the_platform_that_runs_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATRIX_SERVER", "matrix.example:8443")
    assert find_endpoints().every == "matrix.example:8443"
    assert find_endpoints("other:1").every == "other:1"
    monkeypatch.delenv("MATRIX_SERVER")
    with pytest.raises(NotFound, match=r"no `matrix up` runs in data/up: start one, or give"):
        find_endpoints()
    (tmp_path / "data/up").mkdir(parents=True)
    write_endpoints(tmp_path / "data/up/endpoints.json", Endpoints(TWO))
    assert find_endpoints().services == TWO


@pytest.mark.parametrize(
    "server", ["host", "host:", "host:x", "host:0", "host:70000", ":80", "a:1,b:2", "agents=a:1"]
)
def test_what_is_no_address_is_refused_with_its_value(server: str) -> None:
    with pytest.raises(Rejected, match=r"is no (address|service)"):
        find_endpoints(server)


@pytest.mark.parametrize("content", ["", "[]", '{"agent_state": 3}', '{"agent_state": ["x"]}'])
def test_a_file_of_something_else_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(content)
    with pytest.raises(Rejected, match=r"no file of `matrix up`|is no address"):
        find_endpoints(str(path))


def test_a_platform_that_has_ended_is_told_from_a_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.json: there is no such file; does `matrix up` run"):
        find_endpoints(str(tmp_path / "gone.json"))
