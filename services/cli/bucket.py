"""`matrix bucket`: where the datasets are kept."""

import asyncio

import typer

from services.cli.console import tell
from services.runtime.errors import Rejected
from services.runtime.object_store import bucket_of, prepare_bucket
from services.runtime.settings import read_settings

bucket = typer.Typer(no_args_is_help=True, help="The bucket that the datasets are kept in.")


@bucket.callback()
def start() -> None:
    """The bucket that the datasets are kept in."""


@bucket.command()
def create() -> None:
    """Create the bucket, with versioning, unless it is there.

    MATRIX_OBJECT_STORE__URL names it (s3://matrix), MATRIX_OBJECT_STORE__ENDPOINT the server, and
    MATRIX_OBJECT_STORE__ACCESS_KEY and __SECRET_KEY are what it is made with.
    """
    settings = read_settings().object_store
    if not settings.url:
        raise Rejected("MATRIX_OBJECT_STORE__URL is not set: give s3://bucket or a directory")
    asyncio.run(prepare_bucket(settings))
    tell(f"{bucket_of(settings) or settings.url} is there")
