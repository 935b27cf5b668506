"""Which datasets a command works on: those in an object store, or those of a `matrix run`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.local_datasets import dataset_names
from services.cli.server import DEFAULT_OUT
from services.runtime.errors import NotFound, Rejected
from services.runtime.settings import ObjectStoreSettings, read_settings

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        help="s3://bucket, s3://bucket/prefix or a directory that a platform keeps its datasets "
        "in; else MATRIX_OBJECT_STORE__URL. Endpoint and keys are those of the settings "
        "MATRIX_OBJECT_STORE__*.",
        show_default=False,
    ),
]


def dataset_store(store: str, out: Path | None) -> ObjectStoreSettings:
    """Return where the datasets are that `--store`, `--out` or the environment names.

    Raises:
        Rejected: both are asked for, or a setting cannot be used.
        NotFound: neither is, and there is no run here.
    """
    if store and out is not None:
        raise Rejected(
            "--out works on a run's directory, --store on a platform's: give one of them"
        )
    if out is None:
        settings = read_settings().object_store
        if url := store or settings.url:
            return settings.model_copy(update={"url": url})
        try:
            dataset_names(DEFAULT_OUT)
        except NotFound:
            raise NotFound(
                f"{DEFAULT_OUT} holds no run: give --store (or MATRIX_OBJECT_STORE__URL), or the "
                "directory of a run with --out"
            ) from None
    else:
        dataset_names(out)
    return ObjectStoreSettings(url=str((out or DEFAULT_OUT) / "datasets"))
