"""Brokers that refuse us: told from those that are away, which are waited for.

kafka-python means to raise a refusal that it meets while it connects for the first time, but keeps
it to itself and raises, when the time is over, what it raises when nobody answers. No public part
of it tells the two apart. Nor does it wait where it has nothing to send: see `FrankClient`.
"""

import ssl
from typing import Any

from kafka.errors import (
    AuthorizationError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

WHERE_TO_LOOK = (
    "look at MATRIX_KAFKA__SECURITY_PROTOCOL, SASL_USERNAME, SASL_PASSWORD and "
    "MATRIX_KAFKA__CA_FILE, CERT_FILE and KEY_FILE"
)


_UNANSWERED_MS = 1000.0
"""How long to wait for an answer before looking again; the answer ends the wait."""


class UntrustedBroker(KafkaError):  # type: ignore[misc]
    """Its certificate is of no authority in MATRIX_KAFKA__CA_FILE, or of another name."""


REFUSALS = (
    UntrustedBroker,
    AuthorizationError,
    IllegalSaslStateError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)


class _FrankManager(KafkaConnectionManager):  # type: ignore[misc]
    """Connections whose first attempt ends with the refusal that it met."""

    async def _connect(self, node: Any, conn: Any, *args: Any, **options: Any) -> None:
        await super()._connect(node, conn, *args, **options)
        error = conn.init_future.exception
        if self.bootstrapped or not self.cluster.is_bootstrap(node.node_id):
            return  # A client that works waits for its broker, whatever happens.
        if error and isinstance(error.__context__, ssl.SSLCertVerificationError):
            error = UntrustedBroker(str(error.__context__))
        if isinstance(error, REFUSALS):
            self._auth_failures[node.node_id] = error


class FrankClient(KafkaNetClient):  # type: ignore[misc]
    """What producers, consumers and admin clients connect with."""

    def __init__(self, **options: Any) -> None:
        net = NetworkSelector(**options)
        super().__init__(net, _FrankManager(net, **options))

    def connection_delay(self, node_id: Any) -> float:
        """Return for how many milliseconds there is nothing to send to a node.

        kafka-python says 0 of a node that has as many requests as it may have at a time, and its
        producer looks again and again, without a pause, until one is answered.
        """
        if self.connected(node_id):
            return _UNANSWERED_MS
        delay: float = super().connection_delay(node_id)
        return 1000 * delay
