"""Setting up buckets; the only door to `minio`."""

from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED
from minio.credentials.providers import (
    ChainedProvider,
    EnvAWSProvider,
    IamAwsProvider,
    StaticProvider,
)
from minio.error import MinioException, S3Error
from minio.versioningconfig import VersioningConfig
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError

from services.runtime.errors import Rejected, Retryable
from services.runtime.settings import ObjectStoreSettings
from services.runtime.storage_errors import AccessDenied

_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
_TIMEOUT = urllib3.Timeout(connect=5, read=10)


def make_bucket(settings: ObjectStoreSettings, bucket: str, versioned: bool) -> None:
    """Make a bucket unless it is there, with versioning if wanted; blocks.

    Raises:
        Retryable: the server cannot be reached or is busy.
        Rejected: it refuses our credentials, lacks a permission, or the name is another's.
    """
    place = f"bucket {bucket} at {settings.endpoint or 'AWS'}"
    try:
        client = _client(settings)
        if not client.bucket_exists(bucket):
            try:
                client.make_bucket(bucket, location=settings.region)
            except S3Error as error:
                if error.code != "BucketAlreadyOwnedByYou":
                    raise
        if versioned and client.get_bucket_versioning(bucket).status != ENABLED:
            client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    except (MinioException, HTTPError, ValueError) as error:
        raise _bucket_error(place, error) from None


def _client(settings: ObjectStoreSettings) -> Minio:
    key, secret = settings.access_key.get_secret_value(), settings.secret_key.get_secret_value()
    endpoint = urlsplit(settings.endpoint or "https://s3.amazonaws.com")
    return Minio(
        endpoint.netloc,
        secure=endpoint.scheme == "https",
        region=settings.region,
        credentials=StaticProvider(key, secret)
        if key
        else ChainedProvider([EnvAWSProvider(), IamAwsProvider()]),
        http_client=urllib3.PoolManager(
            timeout=_TIMEOUT,
            retries=urllib3.Retry(1, status_forcelist=[500, 502, 503, 504], backoff_factor=0.2),
            ca_certs=str(settings.ca_file) if settings.ca_file else None,
        ),
    )


def _bucket_error(place: str, error: Exception) -> Retryable | Rejected:
    if isinstance(error, S3Error):
        said = f"{place}: {error.code}: {error.message}"
        if error.code in _DENIED:
            return AccessDenied(f"{said}; check the access key, its secret and its permissions")
        if error.code == "BucketAlreadyExists":
            return Rejected(f"{said}; the name is taken by somebody else, choose another bucket")
        if error.response.status < 500:
            return Rejected(f"{said}; check the name, the region and what this server supports")
        return Retryable(f"{said}; try again")
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    if isinstance(cause, SSLError):
        return AccessDenied(f"{place}: {cause}; name its authority by the setting ca_file")
    if isinstance(error, ValueError):
        return Rejected(f"{place}: {error}; give another name or address")
    return Retryable(f"{place}: the server cannot be reached: {cause}; check its address")
