"""The object store: addresses, options, buckets, and what lies in them, in S3 and on disk."""

import asyncio
from pathlib import Path

import pyarrow as pa
import pytest
from minio import Minio
from pydantic import SecretStr

from services.local.servers.process import free_port
from services.local.servers.seaweedfs import SeaweedFS
from services.runtime.errors import NotFound, Rejected, Retryable
from services.runtime.object_store import (
    Folder,
    bucket_of,
    delta_options,
    list_datasets,
    prepare_bucket,
    table_uri,
)
from services.runtime.settings import ObjectStoreSettings
from services.runtime.storage_errors import AccessDenied
from services.runtime.tables import Table
from tests.integration.servers import CREDENTIALS, fresh_name

SCHEMA = pa.schema([pa.field("id", pa.string(), False)])
WRONG = SecretStr("wrong-3b1f77e0")


def administrator(server: SeaweedFS) -> Minio:
    return Minio(
        server.endpoint.removeprefix("http://"),
        CREDENTIALS.access_key,
        CREDENTIALS.secret_key,
        secure=False,
    )


async def test_a_bucket_is_made_once_with_versioning(seaweedfs: SeaweedFS) -> None:
    settings = seaweedfs.settings(fresh_name("bucket"))
    name = bucket_of(settings)
    await asyncio.gather(prepare_bucket(settings), prepare_bucket(settings))
    client = administrator(seaweedfs)
    assert client.bucket_exists(name)
    assert client.get_bucket_versioning(name).status == "Enabled"
    Folder(settings.url, delta_options(settings)).write("kept", b"x")
    await prepare_bucket(settings)
    assert [item.object_name for item in client.list_objects(name)] == ["kept"]


async def test_a_brokers_bucket_keeps_no_versions(seaweedfs: SeaweedFS) -> None:
    settings = seaweedfs.settings(fresh_name("bucket"))
    await prepare_bucket(settings, versioned=False)
    status = administrator(seaweedfs).get_bucket_versioning(bucket_of(settings)).status
    assert status != "Enabled"


async def test_a_server_that_is_not_there_is_named(seaweedfs: SeaweedFS) -> None:
    settings = seaweedfs.settings("bucket")
    nobody = settings.model_copy(update={"endpoint": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(Retryable, match=f"{nobody.endpoint}: the server cannot be reached: .*"):
        await prepare_bucket(nobody)
    unknown = settings.model_copy(update={"endpoint": "http://no-such-host.invalid:9000"})
    with pytest.raises(Retryable, match=r"no-such-host\.invalid"):
        await prepare_bucket(unknown)


@pytest.mark.parametrize("field", ["access_key", "secret_key"])
async def test_wrong_credentials_are_refused_and_not_shown(
    bucket: ObjectStoreSettings, field: str
) -> None:
    wrong = bucket.model_copy(update={field: WRONG})
    Table(f"{bucket.url}/sft", SCHEMA, delta_options(bucket)).append([{"id": "a"}], {})
    attempts = [
        lambda: list_datasets(wrong),
        lambda: Table(f"{bucket.url}/sft", SCHEMA, delta_options(wrong)).count(),
        lambda: Table(f"{bucket.url}/new", SCHEMA, delta_options(wrong)).append([{"id": "a"}], {}),
        lambda: asyncio.run(prepare_bucket(wrong)),
    ]
    for attempt in attempts:
        with pytest.raises(AccessDenied, match=r"credentials|access key") as caught:
            await asyncio.to_thread(attempt)
        told = str(caught.value) + repr(caught.value) + repr(wrong)
        secrets = [WRONG, bucket.access_key, bucket.secret_key]
        assert not [secret for secret in secrets if secret.get_secret_value() in told]
        assert "<" not in str(caught.value).replace("<-", "")


async def test_a_bucket_name_that_cannot_be_is_rejected(seaweedfs: SeaweedFS) -> None:
    for name in ("x", "UPPER_case"):
        with pytest.raises(Rejected, match=name):
            await prepare_bucket(seaweedfs.settings(name))


async def test_a_bucket_that_is_not_there_is_denied_and_never_made(seaweedfs: SeaweedFS) -> None:
    settings = seaweedfs.settings(fresh_name("missing"))
    table = Table(table_uri(settings, "sft"), SCHEMA, delta_options(settings))
    for attempt in (table.count, lambda: table.append([{"id": "a"}], {})):
        with pytest.raises(AccessDenied, match=r"NoSuchBucket.*that it exists"):
            await asyncio.to_thread(attempt)
    assert not administrator(seaweedfs).bucket_exists(bucket_of(settings))


@pytest.mark.parametrize(
    ("url", "endpoint", "message"),
    [
        ("", "", "give s3://bucket"),
        ("gs://bucket", "", "'gs://bucket': give s3://bucket"),
        ("s3:///prefix", "", "names no bucket"),
        ("s3://bucket", "minio:9000", "'minio:9000': begin it with http"),
    ],
)
def test_an_address_that_cannot_be_used_is_rejected(url: str, endpoint: str, message: str) -> None:
    settings = ObjectStoreSettings(url=url, endpoint=endpoint)
    for attempt in (delta_options, list_datasets, bucket_of):
        with pytest.raises(Rejected, match=message):
            attempt(settings)


@pytest.mark.parametrize("name", ["", "..", "a/b", "../a", ".hidden", "a b", "x" * 129])
def test_a_dataset_name_never_leads_out_of_the_store(name: str) -> None:
    with pytest.raises(Rejected, match="dataset name"):
        table_uri(ObjectStoreSettings(url="s3://bucket/prefix/"), name)


def test_a_table_lies_below_the_prefix() -> None:
    assert (
        table_uri(ObjectStoreSettings(url="s3://bucket/p/q/"), "sft-1") == "s3://bucket/p/q/sft-1"
    )


def test_only_a_plain_http_endpoint_may_be_reached_without_tls() -> None:
    plain = ObjectStoreSettings(url="s3://b", endpoint="http://127.0.0.1:1")
    assert delta_options(plain)["aws_allow_http"] == "true"
    secure = plain.model_copy(update={"endpoint": "https://store:1"})
    assert delta_options(secure)["aws_allow_http"] == "false"
    assert "aws_allow_http" not in delta_options(ObjectStoreSettings(url="s3://b"))


def test_own_authorities_are_asked_for_where_deltalake_reads_them(tmp_path: Path) -> None:
    settings = ObjectStoreSettings(
        url="s3://b", endpoint="https://store:1", ca_file=tmp_path / "ca.pem"
    )
    with pytest.raises(Rejected, match=r"SSL_CERT_FILE=.*ca\.pem"):
        delta_options(settings)


@pytest.mark.parametrize("place", ["s3", "s3 with prefix", "disk"])
def test_datasets_are_listed_alike_in_a_bucket_and_on_disk(
    tmp_path: Path, bucket: ObjectStoreSettings, place: str
) -> None:
    url = {"s3": bucket.url, "s3 with prefix": f"{bucket.url}/deep/er", "disk": str(tmp_path)}
    settings = bucket.model_copy(update={"url": url[place]})
    assert list_datasets(settings) == []
    options = delta_options(settings)
    for name in ("sft-b", "dpo-a"):
        Table(table_uri(settings, name), SCHEMA, options).append([{"id": "a"}], {})
    if place == "disk":
        for name in ("other", "aborted/_delta_log"):
            (tmp_path / name).mkdir(parents=True)
    folder = Folder(settings.url, options)
    folder.write("aborted/_delta_log/_last_checkpoint", b"{}")
    folder.write("notes/file.txt", b"x")
    folder.write("file", b"x")
    assert list_datasets(settings) == ["dpo-a", "sft-b"]
    assert folder.entries()[1] == ["file"]


def test_a_directory_that_is_not_there_holds_no_datasets(tmp_path: Path) -> None:
    assert list_datasets(ObjectStoreSettings(url=str(tmp_path / "nowhere"))) == []


def test_an_object_that_is_not_there_is_rejected_by_name(
    tmp_path: Path, bucket: ObjectStoreSettings
) -> None:
    for url, options in ((bucket.url, delta_options(bucket)), (str(tmp_path), {})):
        with pytest.raises((Rejected, NotFound), match="no-such-object"):
            Folder(url, options).read("no-such-object")
