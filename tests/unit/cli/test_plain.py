"""Messages as JSON: every field by its own name, numbers as numbers."""

from matrix.agent_state.v1 import service_pb2 as agents
from matrix.events.v1 import events_pb2 as events

from services.cli.plain import plain


def test_whole_numbers_maps_and_absent_fields() -> None:
    size = agents.Population(agents=1 << 60, regions={"r01": 2, "r00": 1})
    assert plain(size) == {
        "agents": 1 << 60,
        "groups": 0,
        "regions": {"r00": 1, "r01": 2},
        "max_agents": None,
        "imported_at": 0.0,
        "min_agents": 0,
        "target_agents": None,
        "active_agents": 0,
        "reason": "",
        "decided_at": 0.0,
    }
    assert plain(agents.Population(max_agents=0))["max_agents"] == 0


def test_messages_inside_messages() -> None:
    sample = events.SampleJudged(
        messages=[events.ChatMessage(role="user", content="Why?")],
        usage=events.Usage(calls=3),
        rewards=[0.5],
    )
    fields = plain(sample)
    assert fields["messages"] == [{"role": "user", "content": "Why?"}]
    assert fields["usage"] == {"calls": 3, "prompt_tokens": 0, "completion_tokens": 0}
    assert (fields["rewards"], fields["provenance"]) == ([0.5], None)
