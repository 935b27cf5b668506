"""What limits, target and appetites come to."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from services.events.limits import rank_limit

regions = st.dictionaries(st.sampled_from(["r0", "r1", "r2", "r3"]), st.integers(1, 1000))
limits = st.integers(0, 2000)


@given(regions, limits, st.none() | limits)
def test_without_a_target_only_the_highest_limit_counts(
    sizes: dict[str, int], least: int, most: int | None
) -> None:
    assert rank_limit(None, least, most, sizes, set(sizes)) == most


@given(regions, limits, limits, st.none() | limits)
def test_a_target_counts_inside_of_the_limits(
    sizes: dict[str, int], target: int, least: int, most: int | None
) -> None:
    found = rank_limit(target, least, most, sizes, set(sizes))
    assert found is not None
    assert most is None or found <= most
    assert found >= (least if most is None else min(least, most))
    if least <= target and (most is None or target <= most):
        assert found == target


@given(regions, st.integers(1, 2000), st.data())
def test_the_fewer_are_wanted_the_more_ranks_a_target_reaches(
    sizes: dict[str, int], target: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.sets(st.sampled_from(sorted(sizes)) if sizes else st.nothing()))
    found = rank_limit(target, 0, None, sizes, wanted)
    assert found is not None
    hungry, everybody = sum(sizes[name] for name in wanted), sum(sizes.values())
    if not hungry:
        assert found == target
    else:
        # Of so many, in proportion, as many are of the wanted regions as are to be active.
        assert found == ceil(target * everybody / hungry)
        assert target <= found * hungry / everybody < target + 1
