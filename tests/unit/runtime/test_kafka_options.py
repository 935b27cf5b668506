"""How the settings reach the broker's client."""

from pathlib import Path

from pydantic import SecretStr

from services.runtime.kafka_client import client_options
from services.runtime.settings import KafkaSettings


def test_a_plain_broker_is_given_no_secrets_and_no_certificates() -> None:
    options = client_options(KafkaSettings(bootstrap_servers="a:1,b:2"), "me")
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["security_protocol"] == "PLAINTEXT"
    assert not any(name.startswith(("sasl_", "ssl_")) for name in options)


def test_scram_over_tls_is_given_user_password_and_authorities() -> None:
    settings = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_username="matrix",
        sasl_password=SecretStr("hush"),
        ca_file=Path("/tls/ca.crt"),
    )
    options = client_options(settings, "me")
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "matrix"
    assert options["sasl_plain_password"] == "hush"
    assert options["ssl_cafile"] == "/tls/ca.crt"
    assert options["ssl_certfile"] is None


def test_mutual_tls_is_given_certificate_and_key_and_no_password() -> None:
    settings = KafkaSettings(
        security_protocol="SSL",
        ca_file=Path("ca"),
        cert_file=Path("cert"),
        key_file=Path("key"),
        sasl_password=SecretStr("unused"),
    )
    options = client_options(settings, "me")
    assert (options["ssl_certfile"], options["ssl_keyfile"]) == ("cert", "key")
    assert "sasl_plain_password" not in options


def test_every_option_is_known_to_every_client() -> None:
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.admin import KafkaAdminClient

    settings = KafkaSettings(security_protocol="SASL_SSL", sasl_username="u")
    for client in (KafkaConsumer, KafkaProducer, KafkaAdminClient):
        assert set(client_options(settings, "me")) <= set(client.DEFAULT_CONFIG)
