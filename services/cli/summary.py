"""The table at the end of a run."""

import time

from rich.table import Table
from rich.text import Text

from services.cli.wording import clock, counted, malformed, tally
from services.local.platform import Outcome
from services.local.progress import Progress


def summary(progress: Progress, outcome: Outcome) -> Table:
    """Return what there is in all, and below the line what this run did and spent."""
    society, model = progress.metrics.society, progress.metrics.model
    seconds = max(time.monotonic() - progress.started, 1e-9)
    calls = model.calls.total()
    prompt, completion = model.prompt_tokens.total(), model.completion_tokens.total()
    per = society.deliveries / society.routed if society.routed else 0.0
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("dataset", f"{outcome.dataset}: {outcome.accepted:,} of {outcome.size:,} samples")
    table.add_row("rejected", tally(progress.rejected) or "none")
    born = f"{society.born:,} of {society.agents:,} born"
    table.add_row("agents", f"{born}, {counted(society.groups, 'group')}")
    table.add_row(
        "society", f"{counted(progress.steps, 'step')}, {counted(progress.scenarios, 'scenario')}"
    )
    table.add_section()
    table.add_row("this run", f"added {outcome.added:,} of them in {clock(seconds)}")
    actions = society.actions.total()
    table.add_row("actions", f"{actions:,}, {society.implausible:,} of them implausible")
    table.add_row("deliveries", f"{per:.2f} per action")
    table.add_row("model calls", Text(f"{calls:,} by {progress.model}, {calls / seconds:.1f}/s"))
    table.add_row("tokens", f"{prompt:,} prompt, {completion:,} completion")
    table.add_row("retries", tally(model.retries) or "none")
    table.add_row("refused", tally(model.refused) or "none")
    table.add_row("malformed", malformed(model.malformed))
    return table
