"""`matrix datasets refilter`: a run's candidates, filtered again into a dataset of its own."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import services.reward_filtering
from services.events import SampleJudged
from services.events.filters import overridden
from services.instruction_generation.orders import check_name, filtered
from services.kinds import Kind, find_kind, load_kinds
from services.local.composition import prompts_of
from services.local.endpoints import ModelChoice, open_models
from services.reward_filtering.export import REJECTED, SAMPLE_SCHEMA
from services.reward_filtering.refilter import Again, has_response, random_control, refiltered
from services.reward_filtering.sample_rows import row, sample_of
from services.reward_filtering.workbench import Workbench
from services.runtime.errors import NotFound, Rejected
from services.runtime.metrics import ModelMetrics
from services.runtime.refusals import ProbedModel
from services.runtime.storage_errors import storage_errors
from services.runtime.tables import Table

_ROWS_AT_ONCE = 500


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


async def refilter_run(
    out: Path,
    name: str,
    to: str,
    choice: ModelChoice,
    overrides: Mapping[str, Any],
    random_seed: int | None,
    tell: Callable[[int, int], None],
) -> Refiltered:
    """Filter the candidates of a dataset again, and write what is accepted as dataset `to`.

    Args:
        out: Directory of the run.
        name: Of the dataset.
        to: Of the new one; there must be none of that name.
        choice: The models; only the student's and the reward's are asked.
        overrides: Settings of the kind's filter that differ.
        random_seed: Draw a subset of equal size instead: the control.
        tell: Is told how many of how many candidates are decided.

    Raises:
        NotFound: there is no such dataset.
        Rejected: it has no candidates, `to` is taken, or a setting cannot be used.
        Retryable: a model gave no answer in spite of retries, or there is no sandbox for code.
    """
    folder = out / "datasets"
    check_name(to)
    if (folder / to).exists():
        raise Rejected(f"dataset {to!r} is in {out} already: give the new one another name (--to)")
    samples = _candidates(folder, name)
    kind = find_kind(load_kinds(), samples[0].kind)
    filtered(kind.filter, overrides)
    before = {sample.sample_id for sample in samples if sample.accepted}
    if random_seed is not None:
        verdicts = random_control(samples, len(before), random_seed)
    else:
        verdicts = await _filtered_again(out, samples, kind, choice, overrides, tell)
    _write(folder, to, [replace(verdict, dataset=to) for verdict in verdicts])
    accepted = {verdict.sample_id for verdict in verdicts if verdict.accepted}
    return Refiltered(
        candidates=len(verdicts),
        accepted=len(accepted),
        before=len(before),
        kept=len(accepted & before),
        reasons=Counter(verdict.reason for verdict in verdicts if not verdict.accepted),
    )


def _candidates(folder: Path, name: str) -> list[SampleJudged]:
    samples = []
    for table in (Table(str(folder / each), SAMPLE_SCHEMA) for each in (name, REJECTED + name)):
        if table.exists():
            samples += [sample_of(each) for each in table.read().to_pylist()]
    if not samples:
        raise NotFound(f"no dataset {name!r} in {folder.parent}")
    if not any(map(has_response, samples)):
        raise Rejected(f"dataset {name!r} has no candidate that came as far as a response")
    return samples


async def _filtered_again(
    out: Path,
    samples: list[SampleJudged],
    kind: Kind,
    choice: ModelChoice,
    overrides: Mapping[str, Any],
    tell: Callable[[int, int], None],
) -> list[SampleJudged]:
    workbench = Workbench()
    if kind.runs_code:
        await workbench.ready()
    async with open_models(choice, ModelMetrics(), out, seed=0) as models:
        again = Again(
            spec=overridden(kind.filter, models.limits | dict(overrides)),
            kind=kind,
            model=ProbedModel(models.chat),
            judge=prompts_of(services.reward_filtering)["judge"],
            run_tests=workbench.run_tests,
        )
        verdicts = []
        async for verdict in refiltered(samples, again):
            verdicts.append(verdict)
            tell(len(verdicts), len(samples))
    return verdicts


def _write(folder: Path, to: str, verdicts: list[SampleJudged]) -> None:
    """Write both tables of a dataset; the accepted one, which makes it one, last."""
    with storage_errors(folder):
        workshop = Path(tempfile.mkdtemp(prefix=".refilter-", dir=folder))
    try:
        for name, accepted in ((REJECTED + to, False), (to, True)):
            rows = [row(verdict) for verdict in verdicts if verdict.accepted is accepted]
            table = Table(str(workshop / name), SAMPLE_SCHEMA)
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                batch = rows[start : start + _ROWS_AT_ONCE]
                table.append(batch, {"refilter": start + len(batch)})
            if rows:
                place = folder / name
                with storage_errors(place):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.rmtree(place, ignore_errors=True)
                    (workshop / name).rename(place)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
