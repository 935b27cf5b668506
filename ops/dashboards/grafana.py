"""Dashboards as Grafana's JSON, by its own SDK.

The SDK is of the schema of Grafana 10.1, which later ones read as well.
"""

import json
from collections.abc import Sequence
from urllib.parse import quote

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models

from ops.dashboards.panels import VARIABLES, WIDTH, Dashboard, Panel, Threshold

TAG = "matrix"
_HEIGHTS = {"timeseries": 8, "stat": 4, "bars": 8}
_DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TRACES = quote(
    '{"datasource":"${traces}","queries":[{"refId":"A"}],'
    '"range":{"from":"${__from}","to":"${__to}"}}',
    safe="${}[]:,",
)

AnyPanel = timeseries.Panel | stat.Panel | bargauge.Panel


def text(dashboard: Dashboard) -> str:
    """Return the file that Grafana imports."""
    return json.dumps(_built(dashboard), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _built(dashboard: Dashboard) -> models.Dashboard:
    made = (
        builders.Dashboard(dashboard.title)
        .uid(f"matrix-{dashboard.name}")
        .description(dashboard.description)
        .tags([TAG])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("MATRIX")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
            .include_vars(True)
        )
    )
    made.with_variable(
        builders.DatasourceVariable("datasource").label("Metrics").type("prometheus")
    )
    if any(panel.exemplars for panel in dashboard.panels):
        made.with_variable(builders.DatasourceVariable("traces").label("Traces").type("tempo"))
    for name in dashboard.variables:
        made.with_variable(_variable(name))
    top, number = 0, 0
    for row in dashboard.rows:
        number += 1
        position = models.GridPos(x=0, y=top, w=WIDTH, h=1)
        made.with_row(builders.Row(row.title).id(number).grid_pos(position))
        top += 1
        positions, top = _positions(row.panels, top)
        for panel, position in zip(row.panels, positions, strict=True):
            number += 1
            made.with_panel(_panel(panel).id(number).grid_pos(position))
    return made.build()


def _positions(panels: Sequence[Panel], top: int) -> tuple[list[models.GridPos], int]:
    """Return where the panels of a row are, and where the next row begins."""
    positions, left, height = [], 0, 0
    for panel in panels:
        if left + panel.width > WIDTH:
            top, left, height = top + height, 0, 0
        own = _HEIGHTS[panel.kind]
        positions.append(models.GridPos(x=left, y=top, w=panel.width, h=own))
        left, height = left + panel.width, max(height, own)
    return positions, top + height


def _variable(name: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(name.capitalize())
        .datasource(_DATASOURCE)
        .query({"query": VARIABLES[name], "refId": "variable"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(text="All", value="$__all", selected=True))
    )


def _panel(panel: Panel) -> AnyPanel:
    made: AnyPanel
    if panel.kind == "timeseries":
        made = _curves(panel)
    elif panel.kind == "stat":
        made = (
            stat.Panel()
            .color_mode(options.BigValueColorMode.VALUE)
            .graph_mode(options.BigValueGraphMode.NONE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    else:
        made = (
            bargauge.Panel()
            .orientation(options.VizOrientation.HORIZONTAL)
            .display_mode(options.BarGaugeDisplayMode.BASIC)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    made.title(panel.title).description(panel.description).datasource(_DATASOURCE)
    made.unit(panel.unit).min(0)
    made.thresholds(_thresholds(panel.thresholds or (Threshold(None, "green"),)))
    if panel.maximum is not None:
        made.max(panel.maximum)
    if panel.no_value:
        made.no_value(panel.no_value)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).datasource(_DATASOURCE)
        target.expr(query.expression).legend_format(query.legend)
        if panel.kind == "timeseries":
            target.range()
        else:
            # Of now only: over a range, the last value of what has ended would stand there.
            target.instant()
        if panel.exemplars:
            target.exemplar(True)
        made.with_target(target)
    if panel.exemplars:
        made.links([_traces()])
    return made


def _curves(panel: Panel) -> timeseries.Panel:
    stacking = options.StackingMode.NORMAL if panel.stacked else options.StackingMode.NONE
    made = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(30 if panel.stacked else 8)
        .show_points(options.VisibilityMode.AUTO)
        .stacking(common.StackingConfig().mode(stacking))
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.TABLE)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
    )
    if panel.thresholds:
        style = common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED)
        made.thresholds_style(style)
    return made


def _thresholds(steps: Sequence[Threshold]) -> builders.ThresholdsConfig:
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=step.start, color=step.colour) for step in steps])
    )


def _traces() -> builders.DashboardLink:
    return (
        builders.DashboardLink("Traces of this time")
        .type(models.DashboardLinkType.LINK)
        .url(f"/explore?left={_TRACES}")
        .target_blank(True)
    )
