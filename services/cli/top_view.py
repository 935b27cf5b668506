"""How the vital figures of a platform look: one screen for a person."""

import time
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.cli.top_figures import DatasetFigures, Figures, RoleFigures, ServiceFigures
from services.cli.views import cell
from services.cli.wording import duration

MOST_LINES = 40
_MOST_SERVERS = 4
_MOST_SILENT = 4
_NONE = "-"
_MIB = 1 << 20
_GAP = 2
_ALERT, _CARE, _GOOD = "bold red", "yellow", "green"


def view(now: Figures, width: int, height: int = MOST_LINES) -> RenderableType:
    """Return the figures as text of at most 40 lines.

    Args:
        now: the figures.
        width: columns that there are.
        height: lines that there are; the less important datasets are left out where they are few.
    """
    head = f"{time.strftime('%H:%M:%S', time.localtime(now.clock))}, rates over "
    head += f"{now.window_seconds:.0f} s" if now.window_seconds else "no time yet"
    above = [Text(f"matrix top  {head}"), Text(""), *_services(now, width)]
    below = [*_society(now), *_models(now, width), Text(""), _store(now)]
    lines = sum(each.row_count + 1 if isinstance(each, Table) else 1 for each in (*above, *below))
    room = max(min(height, MOST_LINES) - lines - 4, 1)
    return Group(*above, *_datasets(now, width, room), *below)


def _services(now: Figures, width: int) -> list[RenderableType]:
    columns = ("SERVICES", "ready", "CPU", "memory", "loop", "lag", "in work", "restores", "dead")
    parts: list[RenderableType] = [
        _table(columns, [_service(each) for each in now.services], width)
    ]
    for each in now.silent[:_MOST_SILENT]:
        known = each.reason.startswith(each.service)
        line = cell(each.reason if known else f"{each.service}: {each.reason}")
        line.stylize(_ALERT)
        line.truncate(width, overflow="ellipsis")
        parts.append(line)
    if len(now.silent) > _MOST_SILENT:
        parts.append(Text(f"and {len(now.silent) - _MOST_SILENT} more", style=_ALERT))
    return parts


def _service(each: ServiceFigures) -> list[Text]:
    known = each.replicas + each.silent
    if not each.replicas:
        return [_text(each.service, _ALERT), _text("gone", _ALERT), *[_text(_NONE)] * 7]
    healthy = each.ready == known
    restores = _count(each.restores)
    if each.restoring_seconds:
        restores = f"{_seconds(each.restoring_seconds)} now"
    return [
        _text(each.service),
        _text(f"{each.ready}/{known}", _GOOD if healthy else _CARE),
        _text(_NONE if each.cpu_percent is None else f"{each.cpu_percent:.0f}%"),
        _text(_NONE if each.memory_bytes is None else f"{each.memory_bytes / _MIB:,.0f}M"),
        _text(_seconds(each.loop_lag_seconds)),
        _text(_count(each.lag_messages)),
        _text(_count(each.in_flight_messages)),
        _text(restores, _CARE if each.restoring_seconds else ""),
        _text(_count(each.dead_letters), _ALERT if each.dead_letters else ""),
    ]


def _datasets(now: Figures, width: int, room: int) -> list[RenderableType]:
    columns = ("DATASETS", "samples", "/min", "accepted", "ever", "tokens", "newest", "left")
    if not now.datasets:
        return [Text(""), Text("DATASETS  none yet: `matrix datasets create`", style="dim")]
    shown = now.datasets if len(now.datasets) <= room else now.datasets[: max(room - 1, 1)]
    parts: list[RenderableType] = [
        Text(""),
        _table(columns, [_dataset(each) for each in shown], width),
    ]
    if more := len(now.datasets) - len(shown):
        parts.append(Text(f"and {more} more: `matrix datasets list`", style="dim"))
    return parts


def _dataset(each: DatasetFigures) -> list[Text]:
    of = f"/{_count(each.size)}" if each.size else ""
    left = "filled" if each.size and (each.samples or 0) >= each.size else _NONE
    if each.left_seconds is not None:
        left = duration(each.left_seconds)
    elif each.wanted and each.samples_per_minute == 0:
        left = "stands"
    return [
        _text(each.name),
        _text(f"{_count(each.samples)}{of}"),
        _text(_amount(each.samples_per_minute)),
        _text(_percent(each.acceptance)),
        _text(_percent(each.acceptance_since_start)),
        _text(_amount(each.tokens_per_sample)),
        _text(_NONE if each.newest_age_seconds is None else duration(each.newest_age_seconds)),
        _text(left, _CARE if left == "stands" else ""),
    ]


def _society(now: Figures) -> list[RenderableType]:
    s = now.society
    wanted = "" if s.target is None else f", {_count(s.target)} wanted"
    people = f"{_count(s.agents)} agents, {_count(s.born)} born, {_count(s.active)} active{wanted}"
    groups = f"{_count(s.groups)} groups, {_count(s.resting)} resting, {_count(s.parked)} parked"
    acts = f"{_amount(s.steps_per_second)} steps/s, {_amount(s.actions_per_second)} actions/s"
    reach = _NONE if s.deliveries_per_action is None else f"{s.deliveries_per_action:.2f}"
    return [
        Text(""),
        Text.assemble(("SOCIETY   ", "bold"), people),
        Text(f"          {groups}, {_amount(s.scenarios_per_minute)} scenarios/min"),
        Text(f"          {acts}, {reach} deliveries per action"),
    ]


def _models(now: Figures, width: int) -> list[RenderableType]:
    m = now.models
    columns = ("MODELS", "calls/s", "prompt tok/s", "completion tok/s", "cached", "p50", "p95")
    parts: list[RenderableType] = [Text("")]
    if m.roles:
        parts.append(_table(columns, [_role(each) for each in m.roles], width))
    if m.servers:
        rows = [
            [
                _text(each.server),
                *map(_text, map(_count, (each.in_flight, each.slots, each.waiting))),
                *map(_text, map(_count, (each.running, each.queued))),
            ]
            for each in m.servers[:_MOST_SERVERS]
        ]
        heads = ("SERVERS", "in flight", "slots", "waiting", "running there", "queued there")
        parts.append(_table(heads, rows, width))
    wrong = f"{_count(m.retries)} retries, {_count(m.refused)} refused, "
    given_up = (f"{_count(m.given_up)} given up", _ALERT if m.given_up else "")
    parts.append(Text.assemble(("CALLS     ", "bold"), wrong, given_up))
    return parts


def _role(each: RoleFigures) -> list[Text]:
    return [
        _text(each.role),
        _text(_amount(each.calls_per_second)),
        _text(_amount(each.prompt_tokens_per_second)),
        _text(_amount(each.completion_tokens_per_second)),
        _text(_percent(each.cached_share)),
        _text(_seconds(each.p50_seconds)),
        _text(_seconds(each.p95_seconds)),
    ]


def _store(now: Figures) -> Text:
    s = now.store
    rate = _amount(s.commits_per_minute)
    return Text.assemble(
        ("STORE     ", "bold"),
        f"{_count(s.commits)} commits, {rate}/min, ",
        (f"{_count(s.failures)} failed", _CARE if s.failures else ""),
        (", away: rows wait", _ALERT) if s.away else "",
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> Table:
    """Return a table whose first column is cut to the room that the numbers leave."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    wide = [
        max(cell_len(head), *(row[n].cell_len for row in rows)) for n, head in enumerate(columns)
    ]
    room = max(width - sum(wide[1:]) - _GAP * (len(columns) - 1), 8)
    for place, head in enumerate(columns):
        size = min(wide[0], room) if place == 0 else wide[place]
        justify = "left" if place == 0 else "right"
        table.add_column(
            head,
            no_wrap=True,
            overflow="ellipsis",
            width=size,
            justify=justify,  # type: ignore[arg-type]
        )
    for row in rows:
        table.add_row(*row)
    return table


def _text(value: str, style: str = "") -> Text:
    text = cell(value)
    text.stylize(style)
    return text


def _count(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}"


def _amount(value: float | None) -> str:
    """Return a rate: `0`, `0.4`, `12`, `1,200`, `34k`."""
    if value is None:
        return _NONE
    if value >= 99_950:
        return f"{value / 1e6:.1f}M" if value >= 999_500 else f"{value / 1e3:.0f}k"
    return f"{value:,.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}"


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.0f}%"


def _seconds(value: float | None) -> str:
    if value is None:
        return _NONE
    if value < 0.9995:
        return f"{1000 * value:.0f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"
