"""How the figures look: on one screen, in 80 columns, and whatever a dataset is called."""

import pytest
from rich.console import Console

from services.cli.top_figures import Figures, figures
from services.cli.top_looks import Replica, Silent
from services.cli.top_view import MOST_LINES, view
from services.runtime.metrics import Metrics
from tests.unit.cli.looks import EPOCH, look, told

SERVICES = (
    *("agent_state", "message_modulation", "scenario_extraction"),
    *("instruction_generation", "reward_filtering"),
)


def busy(names: list[str], factor: int, silent: tuple[Silent, ...] = ()) -> Figures:
    """Return the figures of a platform with much to tell."""

    def count(share: int) -> list[Replica]:
        def line(metrics: Metrics) -> None:
            for name in names:
                metrics.line.accepted[name, "sft"] = share
                metrics.line.rejected[name, "sft", "short"] = share
                metrics.line.tokens[name, "prompt"] = 1234 * share
            metrics.line.samples = dict.fromkeys(names, 10_000.0 + share)
            metrics.line.size = dict.fromkeys(names, 50_000)
            metrics.line.wanted = dict.fromkeys(names, 1)
            metrics.line.newest = dict.fromkeys(names, EPOCH)
            for role in ("simulator", "teacher", "student", "reward", "held_out", "embedding"):
                metrics.model.calls[role, "s"] = share
                metrics.model.prompt_tokens[role, "s"] = 1_000_000 * share
                metrics.model.seconds.labels(role, "s").observe(0.3)
            for number in range(6):
                metrics.model.slots[f"http://models-{number}.matrix.svc.cluster.local:8000"] = 512
            metrics.society.agents = 100_000
            metrics.society.born = 99_000
            metrics.society.groups = 12_000
            metrics.society.target = 80_000
            metrics.society.steps = share
            metrics.process.ready = 1

        return [told(service, service, line) for service in SERVICES]

    first, last = count(0), count(factor)
    return figures([look(0, *first), look(2, *last, silent=silent)], SERVICES)


def drawn(now: Figures, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(view(now, width))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_much_fits_on_one_screen(width: int) -> None:
    silent = tuple(
        Silent("agent_state", "cannot be reached " * 20, f"10.0.0.{n}:50051") for n in range(9)
    )
    lines = drawn(busy([f"dataset-{'long-' * 12}{n}" for n in range(40)], 900, silent), width)
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "and 5 more" in text
    assert "more: `matrix datasets list`" in text
    for service in SERVICES:
        assert service in text
    assert "10,900/50,000" in text
    assert "495,000 born" in text


def test_a_name_is_text_and_neither_markup_nor_control() -> None:
    lines = drawn(busy(["[red]x[/red]\x1b[2J\nnext", "[/]"], 1), 120)
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "[red]x[/red]\\u001b[2J next" in text
    assert "[/] " in text


def test_nothing_known_is_shown_as_such() -> None:
    gone = tuple(Silent(service, "cannot be reached") for service in SERVICES)
    lines = drawn(figures([look(0, silent=gone)], SERVICES), 80)
    assert sum(" gone " in line for line in lines) == len(SERVICES)
    assert "none yet" in "\n".join(lines)
    assert "agent_state: cannot be reached" in "\n".join(lines)


def test_a_dataset_that_is_wanted_and_gets_nothing_stands() -> None:
    assert "stands" in "\n".join(drawn(busy(["qa"], 0), 80))
    assert "stands" not in "\n".join(drawn(busy(["qa"], 5), 80))


def test_no_colour_is_written_where_there_is_no_terminal() -> None:
    assert "\x1b" not in "\n".join(drawn(busy(["qa"], 5), 80))
