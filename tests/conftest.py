"""Settings of the whole suite."""

import os
from collections.abc import Iterator

# The arrays here are small: more threads only wait for each other (a fifth of the CPU time).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Workers that choose ports at the same moment are not to choose the same.
if worker := os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw"):
    first = 10_000 + int(worker) % 6 * 2_000
    os.environ["MATRIX_LOCAL_PORTS"] = f"{first}-{first + 1_999}"

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Neither how long an example takes nor how fast they are drawn says anything on a shared machine.
settings.register_profile(
    "matrix",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("matrix")


@pytest.fixture(autouse=True)
def logs_as_ever() -> Iterator[None]:
    """Commands that run in the process of a test configure its logs, for themselves alone."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
