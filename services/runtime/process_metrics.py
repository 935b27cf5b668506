"""What a process tells of itself: its version, its certificates, how late its event loop is."""

import asyncio
import time
from importlib.metadata import version
from pathlib import Path

from cryptography import x509

from services.runtime.errors import Rejected
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings

DISTRIBUTION = "matrix-society"
_LOOK_SECONDS = 1.0


def certificate_ends(path: Path) -> float:
    """Return when the first of a file's certificates to end does so, in seconds since the epoch.

    Raises:
        Rejected: it holds no certificate that can be read.
    """
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Rejected(f"certificate {path} cannot be read: {error}") from error
    return min(each.not_valid_after_utc.timestamp() for each in found)


def tell_process(metrics: Metrics, settings: Settings) -> None:
    """Let the metrics tell the version, and the certificates as they are read at the start.

    Raises:
        Rejected: a file of certificates cannot be read.
    """
    metrics.process.info[version(DISTRIBUTION)] = 1
    files = {
        "grpc server": settings.grpc.cert_file,
        "grpc authorities": settings.grpc.ca_file,
        "grpc authorities of callers": settings.grpc.client_ca_file,
        "kafka": settings.kafka.cert_file,
        "kafka authorities": settings.kafka.ca_file,
        "metrics server": settings.metrics.cert_file,
    }
    for name, path in files.items():
        if path is not None:
            metrics.grpc.certificates[name] = certificate_ends(path)


async def watch_loop(metrics: Metrics) -> None:
    """Measure each second how late the event loop is, until cancelled."""
    while True:
        due = time.monotonic() + _LOOK_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
        metrics.process.loop_lag = max(0.0, time.monotonic() - due)
