"""How this process reaches the broker: one set of options for all clients.

With `kafka_topics`, `kafka_publisher`, `kafka_reader` and `kafka_member` the only door to
kafka-python. Its clients block and its futures cannot be awaited in asyncio, so that every one of
them lives on a thread of its own.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from kafka import KafkaConsumer
from kafka.errors import KafkaConfigurationError, KafkaError

from services.runtime.errors import Rejected, Retryable
from services.runtime.kafka_refusals import REFUSALS, WHERE_TO_LOOK, FrankClient
from services.runtime.ports import Delivery
from services.runtime.settings import KafkaSettings

_log = structlog.get_logger(__name__)
T = TypeVar("T")

_BACKOFF_MS = 2_000
"""Longest pause between two attempts to connect: a broker that is back is to be found soon."""
_REST_SECONDS = 0.01
_KNOCK_SECONDS = 5.0


def client_options(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """Return what every client is made with; the password is in it, so it is never to be shown."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "client_id": client_id,
        "security_protocol": settings.security_protocol,
        "reconnect_backoff_max_ms": _BACKOFF_MS,
        "bootstrap_timeout_ms": 10_000,
        "kafka_client": FrankClient,
    }
    if "SASL" in settings.security_protocol:
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    if "SSL" in settings.security_protocol:
        options |= {
            "ssl_cafile": _path(settings.ca_file),
            "ssl_certfile": _path(settings.cert_file),
            "ssl_keyfile": _path(settings.key_file),
        }
    return options


def _path(path: object) -> str | None:
    return None if path is None else str(path)


async def connect(settings: KafkaSettings, what: str, make: Callable[[], T]) -> T:
    """Return the client that `make` makes in a thread, waiting for the broker as long as it takes.

    Raises:
        Rejected: the broker refuses us, or the options cannot be.
    """
    for file in (settings.ca_file, settings.cert_file, settings.key_file):
        if file is not None and not file.is_file():
            raise Rejected(f"{what}: there is no file {file}; {WHERE_TO_LOOK}")
    pause, told = 0.2, 0.0
    while True:
        try:
            # Each vain attempt of kafka-python leaves a thread and file descriptors behind.
            await _knock(settings)
            return await asyncio.to_thread(make)
        except REFUSALS as error:
            raise Rejected(
                f"broker {settings.bootstrap_servers} refuses {what}: {type(error).__name__}; "
                f"{WHERE_TO_LOOK}"
            ) from None
        except KafkaConfigurationError as error:
            raise Rejected(f"the options of {what} cannot be: {error}") from None
        except (KafkaError, OSError) as error:
            if time.monotonic() - told > 10:
                told = time.monotonic()
                _log.warning(
                    "waiting for the broker",
                    broker=settings.bootstrap_servers,
                    what=what,
                    reason=f"{type(error).__name__}: {error}",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)


async def _knock(settings: KafkaSettings) -> None:
    """See whether anybody listens at one of the addresses.

    Raises:
        OSError: nobody does.
    """
    nobody = OSError("no address to connect to")
    for address in settings.bootstrap_servers.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            async with asyncio.timeout(_KNOCK_SECONDS):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, ValueError) as error:
            nobody = OSError(f"{address}: {type(error).__name__}: {error}")
        else:
            writer.transport.abort()
            return
    raise nobody


class RestingConsumer(KafkaConsumer):  # type: ignore[misc]
    """A consumer that rests between two looks that found nothing.

    While a heartbeat is unanswered, kafka-python's `poll` looks again and again without a pause:
    every member takes a whole core then, which a broker on the same machine needs to answer.
    """

    def on_heartbeat(self, confirm: Callable[[float], None]) -> None:
        """Have `confirm` called with the (monotonic) sending time of each answered heartbeat."""
        # Nothing public tells it.
        heartbeat = self._coordinator.heartbeat
        received = heartbeat.received_heartbeat

        def note() -> None:
            received()
            confirm(heartbeat.last_send)

        heartbeat.received_heartbeat = note

    def _poll_once(self, timer: Any, *args: Any, **options: Any) -> Any:
        began = time.monotonic()
        found = super()._poll_once(timer, *args, **options)
        if not found and not timer.expired and time.monotonic() - began < _REST_SECONDS:
            time.sleep(_REST_SECONDS)
        return found


def unreachable(settings: KafkaSettings, error: Exception) -> Retryable:
    """Return the error that a caller sees when the broker does not answer."""
    return Retryable(
        f"broker {settings.bootstrap_servers} gave no answer ({type(error).__name__}: {error}); "
        "is it running, and is MATRIX_KAFKA__BOOTSTRAP_SERVERS its address?"
    )


def delivery(record: Any) -> Delivery:
    """Return a consumer's record as a message; a header or key of other bytes stays readable."""
    return Delivery(
        record.topic,
        record.partition,
        record.offset,
        (record.key or b"").decode(errors="replace"),
        record.value or b"",
        {key: (value or b"").decode(errors="replace") for key, value in record.headers},
    )
