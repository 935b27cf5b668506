"""Certificates and keys from files, and what is wrong with them before any connection fails."""

import ssl
from pathlib import Path

import grpc

from services.runtime.errors import Rejected
from services.runtime.settings import GrpcSettings


def read_pem(path: Path, what: str) -> bytes:
    """Return the content of a PEM file.

    Raises:
        Rejected: it cannot be read, or is no PEM; the message shows the path and no content.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Rejected(f"{what} {path}: {error.strerror}: check the path and its rights") from None
    if b"-----BEGIN " not in content:
        raise Rejected(f"{what} {path}: no PEM file: it must hold -----BEGIN ...-----")
    return content


def read_pair(cert_file: Path | None, key_file: Path | None) -> tuple[bytes, bytes] | None:
    """Return key and certificate, or None when there are no files.

    Raises:
        Rejected: one of them is missing or unusable, or they do not belong together.
    """
    if cert_file is None or key_file is None:
        if cert_file is None and key_file is None:
            return None
        given, missing = ("cert_file", "key_file") if cert_file else ("key_file", "cert_file")
        raise Rejected(f"TLS: {given} without {missing}: set both or neither")
    pair = read_pem(key_file, "TLS key"), read_pem(cert_file, "TLS certificate")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "unusable"
        raise Rejected(
            f"TLS certificate {cert_file} with key {key_file}: {reason}: "
            "give a certificate and its own key without a password"
        ) from None
    return pair


def server_credentials(settings: GrpcSettings) -> grpc.ServerCredentials | None:
    """Return the credentials of a server, or None without TLS.

    Raises:
        Rejected: the files are unusable, or callers must show certificates without TLS.
    """
    pair = read_pair(settings.cert_file, settings.key_file)
    if pair is None:
        if settings.client_ca_file is not None:
            raise Rejected(
                "TLS: client_ca_file without cert_file and key_file: callers show certificates "
                "only over TLS"
            )
        return None
    authorities = None
    if settings.client_ca_file is not None:
        authorities = read_pem(settings.client_ca_file, "authorities of callers")
    return grpc.ssl_server_credentials([pair], authorities, authorities is not None)


def channel_credentials(
    ca_file: Path, cert_file: Path | None, key_file: Path | None
) -> grpc.ChannelCredentials:
    """Return the credentials of a client.

    Raises:
        Rejected: the files are unusable.
    """
    key, certificate = read_pair(cert_file, key_file) or (None, None)
    return grpc.ssl_channel_credentials(
        read_pem(ca_file, "authorities of servers"), key, certificate
    )
