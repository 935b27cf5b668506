"""`matrix datasets report`: what a dataset is like, and why candidates are not in it, as a page."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from services.cli import orders
from services.cli.console import tell
from services.cli.local_datasets import OutOption, open_candidates
from services.cli.remote_datasets import report_remote
from services.cli.server import DEFAULT_OUT, CaOption, ServerOption, is_remote
from services.cli.wording import counted
from services.reward_filtering.report import REPORT_COLUMNS, report_of
from services.reward_filtering.report_page import MARKER, page
from services.runtime.errors import Rejected
from services.runtime.storage_errors import storage_errors

_HEAD_BYTES = 4_096


def report(
    name: orders.NameArgument,
    to: Annotated[Path, typer.Option(help="HTML file to write; new, or an earlier report.")] = Path(
        "report.html"
    ),
    out: OutOption = None,
    server: ServerOption = "",
    ca: CaOption = None,
) -> None:
    """Write a page on a dataset: funnel, rewards, lengths, diversity and examples.

    Example: `matrix datasets report my-first --to report.html`
    """
    remote = is_remote(server, out)
    _refuse_foreign(to)
    if remote:
        text, summary = report_remote(server, ca, name)
        accepted, candidates = summary.accepted, summary.candidates
    else:
        tables = open_candidates(out or DEFAULT_OUT, name)
        facts = report_of(name, *(table.read(REPORT_COLUMNS) for table in tables))
        text, accepted, candidates = page(facts), facts.accepted, facts.candidates
    write_page(text, to)
    tell(f"{accepted:,} samples of {counted(candidates, 'candidate')} in {to.absolute()}")


def write_page(text: str, target: Path) -> None:
    """Write a page, whole or not at all.

    Raises:
        Rejected: `target` is something else than an earlier report, or `text` is no report.
        Retryable: the disk is full.
    """
    if MARKER not in text[:_HEAD_BYTES]:
        raise Rejected("what the server sends is no report; is it a platform of this version?")
    _refuse_foreign(target)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, because a rename must stay on one file system.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as workshop:
            made = Path(workshop) / "page"
            made.write_text(text, encoding="utf-8")
            made.replace(target)


def _refuse_foreign(target: Path) -> None:
    with storage_errors(target):
        if target.exists() and not _is_report(target):
            raise Rejected(f"{target}: no earlier report; choose another file or move it away")


def _is_report(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARKER.encode() in file.read(_HEAD_BYTES)
