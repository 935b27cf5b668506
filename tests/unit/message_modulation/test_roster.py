"""Which groups are parked, and how many agents are in work, without looking through all groups."""

from hypothesis import given
from hypothesis import strategies as st

from services.events import AgentCard, Group
from services.message_modulation.domain import ModulatorState
from services.message_modulation.roster import Roster
from services.runtime.metrics import SocietyMetrics


def state(group: int, agents: int, parked: bool, resting: bool) -> ModulatorState:
    cards = tuple(AgentCard(f"{group}/{n}", "", "") for n in range(agents))
    of = Group(f"g{group}", f"r{group % 2}", "", rank=97 * group % 13)
    return ModulatorState(of, cards, parked=parked and not resting, resting=resting)


changes = st.tuples(
    st.integers(0, 8), st.none() | st.tuples(st.integers(0, 3), st.booleans(), st.booleans())
)


@given(st.lists(changes, max_size=40))
def test_it_says_what_a_look_through_all_groups_would(
    told: list[tuple[int, tuple[int, bool, bool] | None]],
) -> None:
    metrics, groups = SocietyMetrics(), dict[str, ModulatorState]()
    roster = Roster(metrics)
    for group, new in told:
        group_id = f"g{group}"
        if new is None:
            groups.pop(group_id, None)
            roster.note(group_id, None)
        else:
            groups[group_id] = state(group, *new)
            roster.note(group_id, groups[group_id])
        parked = {group_id for group_id, each in groups.items() if each.parked}
        for region in ("r0", "r1", "r2"):
            here = [g for g in parked if groups[g].group.region == region]
            assert list(roster.parked(region)) == sorted(
                here, key=lambda g: (groups[g].group.rank, g)
            )
        assert metrics.parked == len(parked)
        assert metrics.active == sum(
            len(each.agents) for each in groups.values() if not each.parked and not each.resting
        )
