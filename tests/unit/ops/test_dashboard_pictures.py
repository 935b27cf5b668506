"""The page without Grafana shows every panel, true to its values, and takes names as text."""

import html
import re
from pathlib import Path

import pytest

from ops.dashboards import page as page_module
from ops.dashboards.catalogue import DASHBOARDS
from ops.dashboards.page import MAX_SERIES, page
from ops.dashboards.page_data import Series, Window
from ops.dashboards.page_numbers import ticks, told
from ops.dashboards.page_picture import HEIGHT, LEFT, colour_of, picture
from ops.dashboards.panels import Panel, Query, good_below, good_from

WINDOW = Window.last(600, 1_800_000_000.7)
PANEL = Panel("Title", "What good looks like.", "s", (Query("matrix_groups", "groups"),))


class Told:
    """Tells the same series for each query."""

    def __init__(self, *series: Series) -> None:
        self._series = list(series)
        self.asked: list[str] = []

    def series(self, query: Query, window: Window) -> list[Series]:
        self.asked.append(query.plain(window.rate_interval))
        return self._series


def line(name: str, *values: float | None) -> Series:
    """Return a series that ends with the window; None is a step without a value."""
    first = WINDOW.end - (len(values) - 1) * WINDOW.step
    steps = ((first + number * WINDOW.step, value) for number, value in enumerate(values))
    return Series(name, tuple((at, value) for at, value in steps if value is not None))


def test_every_panel_is_on_the_page_with_its_description() -> None:
    source = Told(line("a", 1, 2))
    shown = page(source, WINDOW)
    plain = html.unescape(re.sub("</?code>", "`", shown))
    for dashboard in DASHBOARDS:
        assert f"<h2>{dashboard.title}</h2>" in shown
        for panel in dashboard.panels:
            assert f"<h4>{panel.title}</h4>" in plain
            assert panel.description in plain
    assert source.asked == [q.plain("60s") for d in DASHBOARDS for p in d.panels for q in p.queries]


def test_names_are_text_and_the_page_needs_nothing_else() -> None:
    shown = page(Told(line("<script>alert(1)</script> \"'&", 1)), WINDOW)
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &#34;&#39;&amp;" in shown
    assert not re.search(r"https?://|src=|url\(|@import", shown)
    assert all(href.startswith("#") for href in re.findall(r'href="([^"]*)"', shown))


def test_a_panel_without_series_says_so() -> None:
    shown = page(Told(), WINDOW)
    assert "no data" in shown
    assert "no prices are set" in shown
    assert "<svg" not in shown


def test_the_largest_series_are_shown_and_the_others_counted() -> None:
    many = [line(f"series-{number:02}", float(number)) for number in range(MAX_SERIES + 5)]
    shown = page(Told(*many), WINDOW)
    assert f"series-{MAX_SERIES + 4:02}" in shown
    assert "series-04" not in shown
    assert "and 5 smaller" in shown


def test_a_series_that_has_ended_is_no_number_of_now() -> None:
    ended = line("ended", 7, None)
    shown = page(Told(ended), WINDOW)
    article = shown[shown.index("<h4>Datasets that want more</h4>") :]
    assert "no data" in article[: article.index("</article>")]
    article = shown[shown.index("<h4>Rows per hour</h4>") :]
    assert "ended" in article[: article.index("</article>")]


def test_a_gap_is_not_bridged_and_a_point_alone_is_seen() -> None:
    (curve,) = picture(PANEL, [line("a", 1, 2, None, 4)], WINDOW).curves
    assert curve.path.count("M") == 2
    assert curve.path.count("L") == 1
    assert curve.path.endswith("h0")


def test_curves_stay_inside_and_higher_is_higher() -> None:
    drawn = picture(PANEL, [line("a", *range(1, 62))], WINDOW)
    points = re.findall(r"[ML](\d+) (\d+)", drawn.curves[0].path)
    places = [(int(x), int(y)) for x, y in points]
    assert places[0][0] == LEFT
    assert places[-1][0] == drawn.right
    assert all(0 <= y < HEIGHT for _, y in places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_stacked_curves_add_up() -> None:
    stacked = Panel("T", "D", "none", PANEL.queries, stacked=True)
    drawn = picture(stacked, [line("a", 1, 1), line("b", 2, 3)], WINDOW)
    alone = picture(PANEL, [line("sum", 3, 4)], WINDOW)
    top = next(each for each in drawn.curves if each.colour == 1 and not each.area)
    assert top.path.split("L")[-1] == alone.curves[0].path.split("L")[-1]
    assert sum(curve.area for curve in drawn.curves) == 2


def test_a_far_threshold_does_not_press_the_curves_flat() -> None:
    limited = Panel("T", "D", "none", PANEL.queries, thresholds=good_below(10, 1000))
    assert [limit.colour for limit in picture(limited, [line("a", 8)], WINDOW).limits] == ["yellow"]


def test_colours_say_what_is_bad() -> None:
    low, high = good_below(1, 5), good_from(0.8, 0.5)
    assert [colour_of(value, low) for value in (0.9, 1, 5)] == ["green", "yellow", "red"]
    assert [colour_of(value, high) for value in (0.4, 0.5, 0.8)] == ["red", "yellow", "green"]
    assert colour_of(1, ()) == ""


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0, "none", "0"),
        (0.00173, "none", "0.00173"),
        (1234, "none", "1.23 k"),
        (100_000, "short", "100 k"),
        (999.96, "none", "1000"),
        (0.045, "percentunit", "4.5 %"),
        (1, "percentunit", "100 %"),
        (0, "s", "0 s"),
        (0.0123, "s", "12.3 ms"),
        (90, "s", "1.5 min"),
        (-90000, "s", "-1.04 d"),
        (157_593_600, "bytes", "158 MB"),
        (12, "reqps", "12 /s"),
    ],
)
def test_numbers_are_told_in_words(value: float, unit: str, words: str) -> None:
    assert told(value, unit) == words


@pytest.mark.parametrize("high", [1e-6, 0.3, 1, 7, 99, 5000, 3.2e9])
@pytest.mark.parametrize("unit", ["none", "s"])
def test_ticks_are_few_and_reach_the_highest(high: float, unit: str) -> None:
    marks = ticks(0, high, unit)
    assert marks[0] == 0
    assert marks[-1] >= high * (1 - 1e-9)
    assert 2 <= len(marks) <= 6


def test_an_axis_of_time_has_round_minutes_hours_and_days() -> None:
    assert [told(at, "s") for at in ticks(0, 116, "s")] == [
        "0 s",
        "30 s",
        "1 min",
        "1.5 min",
        "2 min",
    ]
    assert [told(at, "s") for at in ticks(0, 9000, "s")] == ["0 s", "1 h", "2 h", "3 h"]


def test_the_example_is_of_the_dashboards_as_they_are() -> None:
    example = html.unescape((Path(page_module.__file__).parent / "example.html").read_text())
    assert len(example) < 400_000
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            assert f"<h4>{panel.title}</h4>" in example


def test_rates_are_taken_over_at_least_a_step() -> None:
    assert Window.last(60, 1000.0) == Window(940, 1000, 1)
    assert Window.last(86400, 1e6).rate_interval == "1440s"
