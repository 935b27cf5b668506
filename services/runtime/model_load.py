"""How busy a model server is, as it tells itself: vLLM's /metrics."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.runtime.http_client import BadResponse, HttpClient

_SAMPLE = re.compile(
    rb"^vllm:num_requests_(running|waiting)(?:\{[^}\n]*\})? +([^\s]+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What a server works on; of several engines behind one address, all together."""

    running: float
    """Requests in the batch."""
    waiting: float
    """Requests in its queue."""


def parse_load(metrics: bytes) -> ServerLoad | None:
    """Return what a page in the Prometheus text format says; None when it is no vLLM's."""
    sums: dict[bytes, float] = {}
    for name, text in _SAMPLE.findall(metrics):
        try:
            value = float(text)
        except ValueError:
            return None
        if not math.isfinite(value) or value < 0:
            return None
        sums[name] = sums.get(name, 0.0) + value
    if b"running" not in sums or b"waiting" not in sums:
        return None
    return ServerLoad(sums[b"running"], sums[b"waiting"])


async def read_load(client: HttpClient, url: str, headers: Mapping[str, str]) -> ServerLoad | None:
    """Return how busy the server at `url` (without /metrics) is; None when it does not tell."""
    try:
        response = await client.get(f"{url}/metrics", headers)
    except (BadResponse, OSError):
        return None
    return parse_load(response.content) if response.status == 200 else None
