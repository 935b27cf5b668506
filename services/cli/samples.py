"""Samples as people read them."""

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from services.runtime.tables import Table


def print_samples(console: Console, table: Table, count: int) -> None:
    """Print the newest samples in full."""
    rows = table.read(["id", "messages", "created_at"]).sort_by([("created_at", "descending")])
    for sample in rows.slice(0, count).to_pylist():
        turns = [
            Text.assemble((f"{message['role']}: ", "bold"), message["content"])
            for message in sample["messages"]
        ]
        console.print(Panel(Text("\n").join(turns), title=Text(sample["id"]), title_align="left"))
