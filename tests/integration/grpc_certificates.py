"""Certificates of a test's own authority, as files."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Authority:
    """One authority, and the folder for what it issues."""

    folder: Path
    ca: trustme.CA

    @property
    def file(self) -> Path:
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(path))
        return path

    def issue(self, *names: str, common_name: str | None = None) -> tuple[Path, Path]:
        """Return the files of a new certificate and its key."""
        issued = self.ca.issue_cert(*names, common_name=common_name)
        stem = (common_name or names[0]).replace("*", "any")
        cert, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key


def authority(folder: Path) -> Authority:
    folder.mkdir()
    return Authority(folder, trustme.CA(key_type=trustme.KeyType.ECDSA))
