"""The roster of groups: its counts are those that looking through all groups would give."""

from hypothesis import given
from hypothesis import strategies as st

from services.events import AgentCard, Group
from services.message_modulation.domain import ModulatorState
from services.message_modulation.roster import Parked, Roster
from services.runtime.metrics import SocietyMetrics


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, ModulatorState | None]]:
    def state(group_id: str) -> ModulatorState:
        # A group's region and rank stay; nobody is both parked and at rest.
        group = Group(group_id, f"r{ord(group_id) % 2}", "", rank=ord(group_id))
        agents = tuple(
            AgentCard(f"{group_id}{n}", "Ada", "") for n in range(draw(st.integers(0, 3)))
        )
        how = draw(st.sampled_from(["active", "parked", "resting"]))
        return ModulatorState(
            group,
            agents,
            draw(st.integers(-1, 20)),
            parked=how == "parked",
            resting=how == "resting",
        )

    keys = draw(st.lists(st.sampled_from("abcdef"), max_size=40))
    return [(key, state(key) if draw(st.integers(0, 4)) else None) for key in keys]


@given(changes())
def test_the_counts_are_those_of_all_groups(
    changed: list[tuple[str, ModulatorState | None]],
) -> None:
    metrics = SocietyMetrics()
    roster, states = Roster(metrics), dict[str, ModulatorState]()
    for key, state in changed:
        roster.note(key, state)
        if state is None:
            states.pop(key, None)
        else:
            states[key] = state
        present = states.values()
        assert roster.steps == sum(each.applied_step + 1 for each in present)
        assert roster.resting == sum(each.resting for each in present)
        assert metrics.parked == sum(each.parked for each in present)
        assert metrics.active == sum(
            len(each.agents) for each in present if not each.parked and not each.resting
        )
        for region in ("r0", "r1"):
            parked = [
                Parked(s.group.rank, k, region, len(s.agents))
                for k, s in states.items()
                if s.parked and s.group.region == region
            ]
            assert list(roster.parked(region)) == sorted(parked)
            assert [roster.place(each.group_id) for each in parked] == parked
