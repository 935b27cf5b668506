"""The vital figures: rates from counters that restart, shares, quantiles, what is not known."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services.cli.top_figures
from services.cli.top_figures import Figures, figures
from services.cli.top_looks import Look, Replica, Silent, Window, parsed, quantile
from services.runtime.errors import Rejected
from services.runtime.metric_fields import declared
from services.runtime.metrics import Metrics
from tests.unit.cli.looks import EPOCH, look, told

SERVICES = ("agent_state", "instruction_generation", "reward_filtering")


def shown(*looks: Look) -> Figures:
    return figures(looks, SERVICES)


def stepped(replica: str, steps: int, service: str = "agent_state") -> Replica:
    def count(metrics: Metrics) -> None:
        metrics.society.steps = steps

    return told(service, replica, count)


def rate(*histories: tuple[float, dict[str, int]]) -> float | None:
    looks = [
        look(at, *(stepped(name, steps) for name, steps in counts.items()))
        for at, counts in histories
    ]
    return Window(looks).rate("matrix_steps_total")


def test_a_rate_is_what_all_replicas_add_in_a_second() -> None:
    assert rate((0, {"a": 10, "b": 100}), (4, {"a": 18, "b": 120})) == 7


def test_of_one_look_there_is_no_rate() -> None:
    assert rate((0, {"a": 10})) is None


def test_a_counter_that_goes_back_has_begun_at_zero_again() -> None:
    assert rate((0, {"a": 100}), (2, {"a": 6})) == 3
    assert rate((0, {"a": 100}), (2, {"a": 6}), (4, {"a": 10})) == 10 / 4


def test_a_replica_that_vanishes_takes_its_counts_along_and_a_new_one_begins_unknown() -> None:
    assert rate((0, {"a": 100, "b": 50}), (2, {"b": 60})) == 5
    assert rate((0, {"a": 10}), (2, {"a": 12, "new": 5_000})) == 1
    # From its second look on it counts, over the time that it is known.
    assert rate((0, {"a": 10}), (2, {"a": 12, "new": 5_000}), (4, {"a": 14, "new": 5_006})) == 4


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=3), min_size=1, max_size=5))
def test_no_history_of_counters_gives_a_negative_rate(history: list[list[int]]) -> None:
    found = rate(
        *(
            (float(2 * at), {str(n): c for n, c in enumerate(counts)})
            for at, counts in enumerate(history)
        )
    )
    assert found is None or found >= 0


def line(accepted: int, rejected: int, tokens: int) -> Replica:
    def count(metrics: Metrics) -> None:
        metrics.line.accepted["qa", "sft"] = accepted
        metrics.line.rejected["qa", "sft", "repetitive"] = rejected
        metrics.line.tokens["qa", "prompt"] = tokens

    return told("reward_filtering", "r", count)


def order(samples: int, size: int, wanted: int = 1, replica: str = "i") -> Replica:
    def count(metrics: Metrics) -> None:
        metrics.line.samples = {"qa": samples}
        metrics.line.size = {"qa": size}
        metrics.line.wanted = {"qa": wanted}
        metrics.line.newest = {"qa": EPOCH - 5}

    return told("instruction_generation", replica, count)


def test_a_dataset_tells_its_pace_its_acceptance_then_and_ever_and_the_time_left() -> None:
    now = shown(
        look(0, line(10, 30, 1000), order(10, 100)),
        look(10, line(16, 32, 3200), order(16, 100)),
    )
    (qa,) = now.datasets
    assert (qa.name, qa.samples, qa.size, qa.wanted) == ("qa", 16, 100, True)
    assert qa.samples_per_minute == pytest.approx(36)
    assert qa.acceptance == 6 / 8
    assert qa.acceptance_since_start == 16 / 48
    assert qa.tokens_per_sample == 200
    assert qa.newest_age_seconds == 15
    assert qa.left_seconds == pytest.approx(140)


def test_the_replicas_that_know_the_same_orders_are_not_added_up() -> None:
    now = shown(look(0, order(16, 100), order(0, 100, replica="restarted")))
    (qa,) = now.datasets
    assert (qa.samples, qa.size) == (16, 100)
    assert (qa.samples_per_minute, qa.acceptance, qa.left_seconds) == (None, None, None)


def test_a_dataset_that_is_filled_has_no_time_left() -> None:
    now = shown(
        look(0, line(10, 0, 0), order(98, 100)),
        look(10, line(12, 0, 0), order(100, 100, wanted=0)),
    )
    assert now.datasets[0].left_seconds is None


def test_models_are_told_by_role_and_by_server_what_a_server_tells_counts_once() -> None:
    def replica(name: str, calls: int, seconds: float) -> Replica:
        def count(metrics: Metrics) -> None:
            model = metrics.model
            model.calls["simulator", "act"] = calls
            model.prompt_tokens["simulator", "act"] = 100 * calls
            model.cached_tokens["simulator", "act"] = 25 * calls
            for _ in range(calls):
                model.seconds.labels("simulator", "act").observe(seconds)
            model.in_flight["http://m"] = 3
            model.slots["http://m"] = 8
            model.running["http://m"] = 6
            model.retries["timeout"] = 2

        return told("agent_state", name, count)

    now = shown(
        look(0, replica("a", 0, 0.2), replica("b", 10, 9.0)),
        look(5, replica("a", 20, 0.2), replica("b", 10, 9.0)),
    )
    (role,), (server,) = now.models.roles, now.models.servers
    assert (role.role, role.calls_per_second, role.prompt_tokens_per_second) == (
        "simulator",
        4,
        400,
    )
    assert role.cached_share == 0.25
    # All calls of the window took 0.1 to 0.25 s; those of before are not in it.
    assert role.p50_seconds == pytest.approx(0.175)
    assert role.p95_seconds == pytest.approx(0.2425)
    assert (server.in_flight, server.slots, server.running, server.queued) == (6, 16, 6, None)
    assert (now.models.retries, now.models.given_up) == (4, None)


def test_a_service_adds_up_its_replicas_and_names_those_that_are_silent() -> None:
    def replica(name: str, ready: int, lag: float) -> Replica:
        def count(metrics: Metrics) -> None:
            metrics.process.ready = ready
            metrics.process.loop_lag = lag
            metrics.kafka.lag["agent_state"] = 5
            metrics.kafka.in_flight["agent_state"] = 2
            metrics.kafka.dead_letters["t"] = 1

        return told("agent_state", name, count)

    silent = (
        Silent("agent_state", "no answer", "10.0.0.3:50051"),
        Silent("reward_filtering", "cannot be reached"),
    )
    now = shown(look(0, replica("a", 1, 0.5), replica("b", 0, 0.1), silent=silent))
    people, _, filtering = now.services
    assert (people.replicas, people.ready, people.silent) == (2, 1, 1)
    assert (people.loop_lag_seconds, people.lag_messages) == (0.5, 10)
    assert (people.in_flight_messages, people.dead_letters) == (4, 2)
    assert people.memory_bytes
    assert (filtering.service, filtering.replicas, filtering.memory_bytes) == (
        "reward_filtering",
        0,
        None,
    )
    assert now.silent == silent


def test_what_was_never_counted_is_zero_unless_those_who_would_count_it_are_silent() -> None:
    people = stepped("a", 0)
    assert figures([look(0, people)], ["agent_state"]).models.given_up == 0
    assert figures([look(0, people)], ["agent_state", "reward_filtering"]).models.given_up is None
    both = [look(0, people), look(2, people)]
    assert figures(both, ["agent_state"]).society.steps_per_second == 0
    assert figures(both, ["agent_state", "reward_filtering"]).society.steps_per_second is None


def test_a_quantile_is_that_of_promql() -> None:
    buckets = {0.1: 10.0, 1.0: 30.0, math.inf: 40.0}
    assert quantile(0.25, buckets) == pytest.approx(0.1)
    assert quantile(0.5, buckets) == pytest.approx(0.55)
    assert quantile(0.99, buckets) == 1.0
    assert quantile(0.5, {}) is None
    assert quantile(0.5, {1.0: 0.0, math.inf: 0.0}) is None


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_a_quantile_lies_within_the_finite_bounds(counts: list[int], share: float) -> None:
    total, buckets = 0, {}
    for number, count in enumerate(counts):
        total += count
        buckets[float(number + 1)] = float(total)
    buckets[math.inf] = float(total)
    found = quantile(share, buckets)
    assert (found is None) == (total == 0)
    assert found is None or 0 <= found <= len(counts)


def test_what_is_no_number_or_no_exposition_spoils_nothing() -> None:
    assert parsed('a 1\nb NaN\nc{x="1"} +Inf\n') == {"a": {(): 1.0}}
    with pytest.raises(Rejected, match="cannot be read"):
        parsed('a{b="c 1\n')


def test_every_metric_that_is_shown_is_declared() -> None:
    metrics = Metrics()
    parts = (metrics.model, metrics.society, metrics.line, metrics.kafka, metrics.store)
    known = {each.name for part in (*parts, metrics.process) for each, _ in declared(part)}
    source = Path(services.cli.top_figures.__file__).read_text()
    used = set(re.findall(r'"(matrix_[a-z0-9_]+)"', source))
    assert len(used) > 25
    assert {name.removesuffix("_count") for name in used} <= known
