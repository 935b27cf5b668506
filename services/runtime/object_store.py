"""The object store: where datasets are, how libraries reach it, and what lies in its folders.

A store is an S3 bucket or a local directory; both are used alike. With `buckets`, the only door to
`obstore` and `minio`. What is not async blocks, so callers run it in a thread.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from services.runtime.errors import Rejected
from services.runtime.settings import ObjectStoreSettings
from services.runtime.storage_errors import storage_errors

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

# A store that is away is noticed within half a minute: a request begun just before the retries
# end may still take its whole time.
REQUEST_SECONDS = 20
RETRY_SECONDS = 9
CONNECT_SECONDS = 5

_AUTHORITIES = "SSL_CERT_FILE"
_NAME = re.compile(r"(?:_rejected/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_COMMIT = re.compile(r"_delta_log/\d{20}\.")


def bucket_of(settings: ObjectStoreSettings) -> str:
    """Return the name of the bucket, empty when the store is a local directory.

    Raises:
        Rejected: the address of the store or of its server cannot be used.
    """
    address = urlsplit(settings.url)
    if settings.endpoint and urlsplit(settings.endpoint).scheme not in ("http", "https"):
        raise Rejected(
            f"object store endpoint {settings.endpoint!r}: begin it with http:// or https://"
        )
    if not settings.url or (address.scheme and address.scheme not in ("s3", "file")):
        raise Rejected(
            f"object store {settings.url!r}: give s3://bucket, s3://bucket/prefix or a directory"
        )
    if address.scheme == "s3" and not address.netloc:
        raise Rejected(f"object store {settings.url!r} names no bucket; give s3://bucket")
    return address.netloc if address.scheme == "s3" else ""


def delta_options(settings: ObjectStoreSettings) -> dict[str, str]:
    """Return the storage options with which deltalake and Polars reach the store.

    Several writers may commit to one table: a commit is a conditional put. Without an access key
    the usual sources of AWS credentials are asked (environment, web identity, instance).

    Raises:
        Rejected: as for `bucket_of`, or `ca_file` is set and SSL_CERT_FILE is not the same.
    """
    if not bucket_of(settings):
        return {}
    if settings.ca_file and os.environ.get(_AUTHORITIES) != str(settings.ca_file):
        raise Rejected(
            f"object store {settings.url}: deltalake takes authorities from the environment only; "
            f"start this process with {_AUTHORITIES}={settings.ca_file}"
        )
    options = {
        "aws_region": settings.region,
        "aws_conditional_put": "etag",
        "timeout": f"{REQUEST_SECONDS}s",
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "retry_timeout": f"{RETRY_SECONDS}s",
    }
    if settings.endpoint:
        options["aws_endpoint_url"] = settings.endpoint
        options["aws_allow_http"] = str(settings.endpoint.startswith("http://")).lower()
    if settings.access_key.get_secret_value():
        options["aws_access_key_id"] = settings.access_key.get_secret_value()
        options["aws_secret_access_key"] = settings.secret_key.get_secret_value()
    return options


def table_uri(settings: ObjectStoreSettings, dataset: str) -> str:
    """Return where the table of a dataset is; `_rejected/NAME` is that of its rejected candidates.

    Raises:
        Rejected: the name would lead elsewhere, or the store has no usable address.
    """
    bucket_of(settings)
    if not _NAME.fullmatch(dataset):
        raise Rejected(
            f"dataset name {dataset!r}: use up to 128 of A-Z a-z 0-9 . _ - and begin with a letter "
            "or digit"
        )
    return f"{settings.url.rstrip('/')}/{dataset}"


def list_datasets(settings: ObjectStoreSettings) -> list[str]:
    """Return the names of the datasets that have a table, sorted; none when there is no store yet.

    Raises:
        Rejected: the store refuses us or its address cannot be used.
        Retryable: it does not answer.
    """
    bucket_of(settings)
    folder = Folder(settings.url, delta_options(settings))
    folders, _ = folder.entries()
    return [name for name in folders if folder.holds(f"{name}/_delta_log", _COMMIT)]


async def prepare_bucket(settings: ObjectStoreSettings, versioned: bool = True) -> None:
    """Make the bucket (or directory) unless it is there, and keep old versions of its objects.

    Args:
        settings: The store; its prefix needs no preparation.
        versioned: Turn versioning on. Not for a broker's bucket, whose objects change all the time.

    Raises:
        Retryable: the server cannot be reached or is busy.
        Rejected: it refuses our credentials, lacks a permission, or the name is another's.
    """
    if bucket := bucket_of(settings):
        # Here: who writes to a directory needs no client of an object store, which is large.
        from services.runtime.buckets import make_bucket

        await asyncio.to_thread(make_bucket, settings, bucket, versioned)
        return
    with storage_errors(settings.url):
        _local_path(settings.url).mkdir(parents=True, exist_ok=True)


class Folder:
    """A prefix of a bucket, or a local directory, reached with the options that deltalake gets.

    Unlike deltalake's own file system, it lets other threads run while it waits. Its methods raise
    `Rejected` when the store refuses us or an object is not there, `Retryable` when the store does
    not answer.
    """

    def __init__(self, uri: str, options: Mapping[str, str]) -> None:
        self.uri = uri
        self._options = options
        self._opened: LocalStore | S3Store | None = None

    def entries(self) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the objects directly in it, sorted."""
        with storage_errors(self.uri, BaseError):
            if (store := self._store()) is None:
                return [], []
            found = obstore.list_with_delimiter(store)
            objects = sorted(item["path"] for item in found["objects"])
            return sorted(found["common_prefixes"]), objects

    def holds(self, prefix: str, pattern: re.Pattern[str]) -> bool:
        """Say whether an object below `prefix` has a path in which `pattern` is found."""
        with storage_errors(self.uri, BaseError):
            if (store := self._store()) is None:
                return False
            chunks = obstore.list(store, prefix)
            return any(pattern.search(item["path"]) for chunk in chunks for item in chunk)

    def read(self, path: str) -> bytes:
        """Return the content of an object."""
        with storage_errors(self.uri, BaseError):
            if (store := self._store()) is None:
                raise FileNotFoundError(f"no directory {self.uri}")
            return bytes(obstore.get(store, path).bytes())

    def write(self, path: str, content: bytes) -> None:
        """Store an object, whole or not at all."""
        with storage_errors(self.uri, BaseError):
            if (store := self._store()) is None:
                raise FileNotFoundError(f"no directory {self.uri}")
            obstore.put(store, path, content)

    def make(self) -> None:
        """Make it if it is a local directory that does not exist; a bucket needs none."""
        if not self.uri.startswith("s3://"):
            with storage_errors(self.uri):
                _local_path(self.uri).mkdir(parents=True, exist_ok=True)

    def create(self, path: str, content: bytes) -> bool:
        """Store an object unless there is one; say whether there was none."""
        with storage_errors(self.uri, BaseError):
            if (store := self._store()) is None:
                raise FileNotFoundError(f"no directory {self.uri}")
            try:
                obstore.put(store, path, content, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def remove(self, paths: Sequence[str]) -> None:
        """Remove objects, and folders that this leaves empty; old versions of them stay."""
        with storage_errors(self.uri, BaseError):
            if paths and (store := self._store()) is not None:
                obstore.delete(store, paths)

    def remove_below(self, prefix: str) -> None:
        """Remove all objects below a prefix, as `remove`."""
        with storage_errors(self.uri, BaseError):
            if (store := self._store()) is None:
                return
            for chunk in obstore.list(store, prefix):
                obstore.delete(store, [item["path"] for item in chunk])

    def _store(self) -> LocalStore | S3Store | None:
        """Open it; None as long as it is a local directory that does not exist."""
        if self._opened is None:
            if self.uri.startswith("s3://"):
                self._opened = self._open_s3()
            elif (path := _local_path(self.uri)).is_dir():
                self._opened = LocalStore(path, automatic_cleanup=True)
        return self._opened

    def _open_s3(self) -> S3Store:
        aws = {k: v for k, v in self._options.items() if k.startswith("aws_")}
        client: ClientConfig = {
            "allow_http": aws.pop("aws_allow_http", "") == "true",
            "timeout": timedelta(seconds=REQUEST_SECONDS),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        }
        if authorities := os.environ.get(_AUTHORITIES):
            client["root_certificate"] = Path(authorities).read_bytes()
        address = urlsplit(self.uri)
        return S3Store(
            address.netloc,
            prefix=address.path.strip("/"),
            config=cast("S3Config", aws),
            client_options=client,
            retry_config={"retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        )


def _local_path(url: str) -> Path:
    return Path(urlsplit(url).path if url.startswith("file://") else url)
