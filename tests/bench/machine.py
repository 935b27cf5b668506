"""What the figures were measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

_LIBRARIES = ("aiohttp", "grpcio", "kafka-python", "numpy", "orjson", "protobuf")


def machine() -> dict[str, Any]:
    """Return processors, memory, kernel, Python, libraries, and how busy it is already."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "load_before": round(os.getloadavg()[0], 2),
    }


def described(found: dict[str, Any]) -> str:
    """Return the same in a line."""
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_gib']:g} GiB, "
        f"{found['system']}, Python {found['python']}, load before {found['load_before']:g}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
