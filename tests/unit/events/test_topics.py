import re
from collections import Counter
from pathlib import Path

import pytest

import services
from services import events
from services.events import topics
from services.events.topics import TOPICS, Topic

SERVICES = (
    "agent-state",
    "message-modulation",
    "scenario-extraction",
    "instruction-generation",
    "reward-filtering",
)
PROTO = Path(services.__file__).parents[1] / "protos/matrix/events/v1/events.proto"
COMMENTED = re.compile(r"((?://.*\n)+)message (\w+) ")


def keyed_messages() -> dict[str, str]:
    """The messages of the file that have a key, and their comments in one line."""
    found = COMMENTED.findall(PROTO.read_text(encoding="utf-8"))
    comments = {name: " ".join(comment.replace("//", "").split()) for comment, name in found}
    return {name: comment for name, comment in comments.items() if comment.startswith("Key: ")}


KEYED = keyed_messages()


def words(event: type) -> list[str]:
    """`SampleJudged` as `["sample", "judged"]`."""
    return re.findall("[a-z]+", re.sub("([A-Z])", r" \1", event.__name__).lower())


def singular(name: str) -> list[str]:
    return [word.removesuffix("s") for word in name.split("-")]


each_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


def test_the_list_holds_every_topic_once() -> None:
    declared = [value for value in vars(topics).values() if isinstance(value, Topic)]
    assert sorted(topic.name for topic in declared) == sorted(topic.name for topic in TOPICS)
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


@each_topic
def test_a_name_is_matrix_and_words_and_a_version(topic: Topic) -> None:
    assert re.fullmatch(r"matrix\.[a-z]+(-[a-z]+)*\.v1", topic.name)


@each_topic
def test_a_topic_of_events_is_named_after_what_happened(topic: Topic) -> None:
    if topic.carries and not topic.compacted:
        _, name, _ = topic.name.split(".")
        assert singular(name) == singular("-".join(words(topic.carries[0])))


@each_topic
def test_key_and_compaction_are_those_that_the_proto_file_states(topic: Topic) -> None:
    for event in topic.carries:
        comment = KEYED[event.__name__]
        key = re.split("[.;]", comment.removeprefix("Key: "))[0]
        if topic.key in ("group", "dataset/stratum", "dataset"):
            assert key in (topic.key, f"receiving {topic.key}")
        assert ("; compacted." in comment) == topic.compacted


def test_every_message_with_a_key_travels_on_one_topic_and_no_other_message_does() -> None:
    carried = Counter(event.__name__ for topic in TOPICS for event in topic.carries)
    # But who is in a group is told to the owner of the agents and to that of the modulator.
    twice = {"GroupFounded": 2, "AgentsJoined": 2}
    assert carried == Counter({**dict.fromkeys(KEYED, 1), **twice})


def test_state_is_compacted_and_what_new_readers_replay_is_kept_whole() -> None:
    compacted = {topic.name.split(".")[1] for topic in TOPICS if topic.compacted}
    kept = {topic.name.split(".")[1] for topic in TOPICS if topic.kept}
    state = {"agents", "groups", "windows", "candidates"}
    answers = {f"{service}-answers" for service in SERVICES} | {"model-answers"}
    assert compacted == state | {"datasets", "population"} | answers
    assert kept == {"scenarios-extracted", "samples-judged"}


def test_who_owns_a_group_s_modulator_reads_all_that_it_takes_in_from_one_topic() -> None:
    members = {events.GroupFounded, events.AgentsJoined}
    taken_in = {events.AgentsActed, events.MessagesForwarded}
    assert set(topics.AGENTS_ACTED.carries) == taken_in | members
    assert set(topics.OBSERVATIONS_DELIVERED.carries) == {events.ObservationsDelivered} | members


def test_what_happens_to_a_group_and_its_state_share_a_key() -> None:
    ring = {"observations-delivered", "agents-acted", "step-completed"}
    state = {"agents", "groups", "windows"}
    by_group = {topic.name.split(".")[1] for topic in TOPICS if topic.key == "group"}
    assert by_group == ring | state | {"scenarios-extracted"}
