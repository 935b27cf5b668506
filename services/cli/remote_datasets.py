"""Datasets of a platform that runs: listed, shown, and taken along."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

from matrix.instruction_generation.v1 import service_pb2 as orders
from matrix.reward_filtering.v1 import service_pb2 as pb
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn

from services.cli.console import console, note, output, tell
from services.cli.download import receive_export, receive_page
from services.cli.orders import SERVICE as ORDERS
from services.cli.orders import order_line
from services.cli.plain import plain, print_json
from services.cli.server import Server, connected
from services.cli.views import facts, listing, moment
from services.cli.watching import SERVICE as SAMPLES
from services.cli.watching import sample_box

_PAGE = 1000
_SAMPLES_PAGE = 100


def list_remote(server: str, ca: Path | None, as_json: bool) -> None:
    """Print the datasets."""
    found = asyncio.run(_datasets(server, ca))
    if as_json:
        for dataset in found:
            print_json(dataset)
        return
    if not found:
        note("no datasets yet; `matrix datasets create NAME --size N` orders one")
        return
    columns = ("dataset", "kind", "state", ">samples", ">rejected", ">weight", "newest (UTC)")
    output.print(listing(columns, map(_row, found)))


def _row(dataset: orders.Dataset) -> tuple[object, ...]:
    order, status = dataset.order, dataset.status
    of = "" if order.continuous else f" of {status.size:,}"
    made, rejected = f"{status.accepted:,}{of}", sum(status.rejected.values())
    newest = moment(status.newest_at)
    return order.dataset, order.kind, status.state, made, rejected, f"{order.weight:g}", newest


async def _datasets(server: str, ca: Path | None) -> list[orders.Dataset]:
    found: list[orders.Dataset] = []
    request = orders.ListDatasetsRequest(page_size=_PAGE)
    async with connected(server, ca) as platform:
        while True:
            page = await platform.ask(ORDERS, "ListDatasets", request)
            found.extend(page.datasets)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


def show_remote(server: str, ca: Path | None, name: str, count: int, as_json: bool) -> None:
    """Print how a dataset stands, and its first samples."""
    dataset, stats, shown = asyncio.run(_dataset(server, ca, name, count))
    if as_json:
        samples = [plain(sample) for sample in shown]
        print_json({**plain(dataset), "stats": plain(stats), "samples": samples})
        return
    tell(order_line(dataset))
    order, usage = dataset.order, stats.usage
    tokens = f"{usage.prompt_tokens:,} prompt, {usage.completion_tokens:,} completion"
    per_sample = f", {stats.tokens_per_accepted:,.0f} per accepted sample" if stats.accepted else ""
    rows = [
        ("kind", order.kind),
        ("requirement", order.domain),
        ("weight", f"{order.weight:g}"),
        ("ordered (UTC)", moment(order.created_at)),
        ("newest (UTC)", moment(stats.newest_at)),
        ("in its table", stats.delivered),
        ("tokens", f"{tokens}{per_sample}"),
    ]
    output.print(facts(rows))
    if shown:
        note(f"its first {len(shown)} samples; `matrix datasets watch {name}` shows new ones")
    for sample in shown:
        output.print(sample_box(sample))


async def _dataset(
    server: str, ca: Path | None, name: str, count: int
) -> tuple[orders.Dataset, pb.DatasetStats, list[Any]]:
    async with connected(server, ca) as platform:
        request = orders.GetDatasetRequest(name=name)
        dataset = (await platform.ask(ORDERS, "GetDataset", request)).dataset
        counts = pb.GetDatasetStatsRequest(dataset=name)
        stats = (await platform.ask(SAMPLES, "GetDatasetStats", counts)).stats
        return dataset, stats, await _samples(platform, name, count)


async def _samples(platform: Server, name: str, count: int) -> list[Any]:
    found: list[Any] = []
    request = pb.ListSamplesRequest(dataset=name)
    while len(found) < count:
        request.page_size = min(_SAMPLES_PAGE, count - len(found))
        page = await platform.ask(SAMPLES, "ListSamples", request)
        found.extend(page.samples)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    return found


def export_remote(
    server: str,
    ca: Path | None,
    name: str,
    to: Path,
    format: str,
    shape: str,
    rollouts: int | None,
) -> None:
    """Write a frozen copy of a dataset to a folder here."""
    wanted = pb.EXPORT_FORMAT_JSONL if format == "jsonl" else pb.EXPORT_FORMAT_PARQUET
    request = pb.ExportDatasetRequest(
        dataset=name, format=wanted, shape=shape, rollouts=rollouts or 0
    )
    made = asyncio.run(_export(server, ca, request, to))
    tell(f"{made.rows} samples in {to}")


async def _export(
    server: str, ca: Path | None, request: pb.ExportDatasetRequest, to: Path
) -> pb.ExportSummary:
    hidden = not console.is_terminal
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn())
    async with connected(server, ca) as platform:
        with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
            task = bar.add_task("receiving", total=None)
            async with aclosing(platform.stream(SAMPLES, "ExportDataset", request)) as parts:
                return await receive_export(
                    parts, request.dataset, to, lambda size: bar.update(task, completed=size)
                )


def report_remote(server: str, ca: Path | None, name: str) -> tuple[str, pb.ReportSummary]:
    """Return the page on a dataset, and what it is on."""
    return asyncio.run(_report(server, ca, name))


async def _report(server: str, ca: Path | None, name: str) -> tuple[str, pb.ReportSummary]:
    request = pb.ReportDatasetRequest(dataset=name)
    async with (
        connected(server, ca) as platform,
        aclosing(platform.stream(SAMPLES, "ReportDataset", request)) as parts,
    ):
        return await receive_page(parts)
