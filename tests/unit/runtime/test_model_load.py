from pathlib import Path

import pytest

from services.runtime.model_load import ServerLoad, parse_load

RECORDED = Path("tests/recordings/generate-0.32.0/metrics_loaded.prom")


def test_the_load_of_a_busy_vllm_is_read_from_its_page() -> None:
    assert parse_load(RECORDED.read_bytes()) == ServerLoad(running=4.0, waiting=8.0)


def test_engines_behind_one_address_are_added() -> None:
    page = (
        b'vllm:num_requests_running{engine="0"} 3.0\nvllm:num_requests_running{engine="1"} 4\n'
        b'vllm:num_requests_waiting{engine="0"} 0.0\nvllm:num_requests_waiting{engine="1"} 1e1\n'
    )
    assert parse_load(page) == ServerLoad(7.0, 10.0)


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html>not found</html>",
        b"vllm:num_requests_running 1.0\n",
        b"vllm:num_requests_running 1.0\nvllm:num_requests_waiting many\n",
        b"vllm:num_requests_running NaN\nvllm:num_requests_waiting 0\n",
        b"vllm:num_requests_running -1\nvllm:num_requests_waiting 0\n",
        b'vllm:num_requests_running 1\nvllm:num_requests_waiting_by_reason{reason="a"} 1\n',
    ],
)
def test_a_page_that_does_not_tell_gives_no_load(page: bytes) -> None:
    assert parse_load(page) is None
