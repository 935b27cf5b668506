"""`matrix datasets refilter`: candidates filtered again, into a dataset of its own beside theirs.

What is decided is kept as it comes (`unfinished`), so that the same command goes on after a break;
the new dataset is made when all is decided. Memory holds the keys and ids of all candidates, about
500 bytes each, and the rows of `candidates.ROWS_AT_ONCE` of them, or of one file of a new table.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pyarrow.compute as pc

from services.instruction_generation.orders import check_name, filtered
from services.kinds import Kind, find_kind, load_kinds
from services.local.redeciding import Decided, Refiltering, decide, settings_of
from services.local.unfinished import Plan, Unfinished
from services.reward_filtering.candidates import Candidates
from services.reward_filtering.refilter import HAS_RESPONSE
from services.reward_filtering.sample_schema import REJECTED
from services.runtime.errors import NotFound, Rejected
from services.runtime.object_store import list_datasets
from services.runtime.settings import ObjectStoreSettings
from services.runtime.tables import Table


@dataclass(frozen=True, slots=True)
class Refiltered:
    """What filtering again came to."""

    candidates: int
    accepted: int
    before: int
    """Accepted samples of the dataset that was filtered again."""
    kept: int
    """Samples that both have."""
    reasons: Counter[str]


async def refilter_dataset(
    store: ObjectStoreSettings,
    asked: Refiltering,
    scratch: Path,
    tell: Callable[[Decided], None],
    warn: Callable[[str], None],
) -> Refiltered:
    """Filter the candidates of a dataset again, and write what is accepted as another one.

    Interrupted, it keeps what was decided, and goes on from there when it is called again.

    Args:
        store: Where the dataset is, and the new one will be.
        asked: What and how.
        scratch: Folder for the log of a local model.
        tell: Is told how far it is, after each candidate.
        warn: Is told what makes the result doubtful.

    Raises:
        NotFound: there is no such dataset.
        Rejected: it has no candidates, the name is taken, a setting cannot be used, or differs
            from those that it was begun with.
        Retryable: a model gave no answer in spite of retries, the store is away, or there is no
            sandbox for code; what was decided is kept.
    """
    for name in (asked.dataset, asked.to):
        check_name(name)
    unfinished = Unfinished(store, asked.to)
    if asked.restart:
        await asyncio.to_thread(unfinished.discard)
    plan = await asyncio.to_thread(unfinished.plan)
    if plan is None:
        await asyncio.to_thread(unfinished.check_free)
    else:
        plan.check_same(settings_of(asked))
    tables = [unfinished.table(each) for each in (asked.dataset, REJECTED + asked.dataset)]
    versions = plan.versions if plan else await asyncio.to_thread(_versions, tables)
    source = Candidates([(t, v) for t, v in zip(tables, versions, strict=True) if v >= 0])
    kind = await asyncio.to_thread(_kind, source, store, asked.dataset)
    filtered(kind.filter, asked.overrides)
    if plan is None or not plan.published:
        plan = await decide(asked, unfinished, plan, source, versions, kind, scratch, tell, warn)
        await _publish(unfinished, plan)
    result = await asyncio.to_thread(_result, unfinished, asked.to, source)
    await asyncio.to_thread(unfinished.clear, plan)
    return result


def _versions(tables: Sequence[Table]) -> tuple[int, ...]:
    return tuple(-1 if (found := table.version()) is None else found for table in tables)


def _kind(source: Candidates, store: ObjectStoreSettings, name: str) -> Kind:
    """Return the kind of the candidates; refuse those that cannot be filtered again."""
    if not source.tables:
        known = ", ".join(list_datasets(store)) or "none yet"
        raise NotFound(f"no dataset {name!r} in {store.url}; there are: {known}")
    kinds = source.column("kind", where=HAS_RESPONSE)["kind"]
    if not len(kinds):
        raise Rejected(f"dataset {name!r} has no candidate that came as far as a response")
    return find_kind(load_kinds(), kinds[0].as_py())


async def _publish(unfinished: Unfinished, plan: Plan) -> None:
    stop = Event()
    try:
        await asyncio.to_thread(unfinished.publish, plan, stop)
    except asyncio.CancelledError:
        stop.set()  # The thread would go on to the end.
        raise


def _result(unfinished: Unfinished, to: str, source: Candidates) -> Refiltered:
    before = source.column("id", where="accepted")["id"]
    now = unfinished.table(to).read(["id"])["id"]
    reasons = unfinished.table(REJECTED + to).read(["reason"])["reason"]
    return Refiltered(
        candidates=len(source),
        accepted=len(now),
        before=len(before),
        kept=pc.sum(pc.is_in(now, value_set=before)).as_py() or 0,
        reasons=Counter(
            {each["values"]: each["counts"] for each in pc.value_counts(reasons).to_pylist()}
        ),
    )
