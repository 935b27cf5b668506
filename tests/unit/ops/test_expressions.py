"""What a PromQL expression asks for is found."""

from tests.unit.ops.expressions import Selector, groupings, selectors


def test_metrics_are_told_from_functions_keywords_and_labels() -> None:
    expression = """
        sum by (job, le) (rate(a_bucket{job="x",le=~"300(\\\\.0)?"}[5m]))
          / on (job) group_left (role) clamp_min(sum(increase(a_count{job="x"}[1h])), 20 / 3600)
        unless level:a:sum{} offset 15m
        or absent(up{job="x",note="{not}, a(b)"}) and bool_metric > bool 1e3
    """
    found = list(selectors(expression))
    names = ["a_bucket", "a_count", "level:a:sum", "up", "bool_metric"]
    assert [each.metric for each in found] == names
    assert found[0].matchers == (("job", "x"), ("le", "300(\\\\.0)?"))
    assert groupings(expression) == {"job", "le", "role"}


def test_a_metric_by_itself_is_one() -> None:
    assert list(selectors("up")) == [Selector("up")]
    assert list(selectors("time() - up")) == [Selector("up")]
    assert list(selectors("1 - 0.5")) == []
