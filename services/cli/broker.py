"""Which broker a command talks to: the environment's, or that of a `matrix up`."""

import os
from pathlib import Path

import orjson

from services.local.up.endpoints import ENDPOINTS_FILE
from services.runtime.errors import Rejected
from services.runtime.settings import KafkaSettings, read_settings
from services.runtime.storage_errors import storage_errors

_VARIABLE = "MATRIX_KAFKA__BOOTSTRAP_SERVERS"


def broker_settings(server: str = "") -> KafkaSettings:
    """Return how to reach the broker.

    Args:
        server: the endpoints file of a `matrix up`; without one MATRIX_KAFKA__BOOTSTRAP_SERVERS
            counts, then MATRIX_SERVER if it is such a file, then the platform in `data/up`.

    Raises:
        Rejected: the file names no broker, or a setting cannot be used.
    """
    settings = read_settings().kafka
    named = os.environ.get("MATRIX_SERVER", "")
    if server:
        path = Path(server)
    elif _VARIABLE in os.environ:
        return settings
    elif named.endswith(".json"):
        path = Path(named)
    elif ENDPOINTS_FILE.is_file():
        path = ENDPOINTS_FILE
    else:
        return settings
    with storage_errors(path):
        content = path.read_bytes()
    try:
        address = orjson.loads(content)["kafka"]
    except (ValueError, TypeError, KeyError):
        address = None
    if not isinstance(address, str) or not address:
        raise Rejected(f"{path} names no broker of a `matrix up`: set {_VARIABLE}")
    return settings.model_copy(update={"bootstrap_servers": address})
