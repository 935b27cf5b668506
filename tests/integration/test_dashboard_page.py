"""The page without Grafana, made from a server that answers as Prometheus does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from ops.dashboards.page import FILE, main
from ops.dashboards.page_data import Prometheus, Series, Window
from ops.dashboards.panels import Query
from services.runtime.errors import Rejected

WINDOW = Window(1000, 1120, 60)
NAME = "a <b> & c"


class Answering(BaseHTTPRequestHandler):
    """Answers queries with one series, and refuses some."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        if asked["query"] == "wrong(":
            self._send(400, {"status": "error", "error": "parse error: unclosed"})
            return
        labels = {"dataset": NAME, "kind": "sft"}
        if self.path == "/api/v1/query":
            vector = [{"metric": labels, "value": [1000, "2.5"]}]
            self._send(200, {"data": {"resultType": "vector", "result": vector}})
            return
        end = float(asked["end"])
        values = [[end - 60, "1"], [end - 30, "NaN"], [end, "3"]]
        matrix = [
            {"metric": labels, "values": values},
            {"metric": {"dataset": "none"}, "values": [[end, "+Inf"]]},
        ]
        self._send(200, {"data": {"resultType": "matrix", "result": matrix}})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_series_have_names_by_their_labels_and_finite_values_only(url: str) -> None:
    found = Prometheus(url).series(Query("matrix_groups", "{{dataset}}, {{kind}}{{no}}"), WINDOW)
    assert found == [Series(f"{NAME}, sft", ((1060, 1.0), (1120, 3.0)))]


def test_an_instant_has_labels_and_values(url: str) -> None:
    assert Prometheus(url).instant("matrix_groups") == [({"dataset": NAME, "kind": "sft"}, 2.5)]


def test_a_refused_expression_is_told_with_the_reason(url: str) -> None:
    with pytest.raises(Rejected, match=r"refused wrong\(: .*unclosed"):
        Prometheus(url).instant("wrong(")


def test_the_command_writes_the_page(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder"
    assert main(["--prometheus", url, "--out", str(out), "--minutes", "5"]) == 0
    assert capsys.readouterr().out.strip() == str(out / FILE)
    assert "a &lt;b&gt; &amp; c" in (out / FILE).read_text()


def test_a_server_that_is_away_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(("127.0.0.1", 0), Answering) as closed:
        port = closed.server_port
    assert main(["--prometheus", f"http://127.0.0.1:{port}", "--out", str(tmp_path)]) == 1
    assert "is the URL right?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
