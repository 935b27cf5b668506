"""Topics and users of Kafka as Strimzi's resources, derived from the code that needs them.

`python -m k8s.generate` writes them, `--check` says what differs. What a service reads is taken
from its composition; what it publishes is `PUBLISHED`, which a test holds against its code.
"""

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.events import topics as t
from services.events.topics import TOPICS, Topic
from services.local.up.settings import SERVICES
from services.runtime.backbone import Backbone
from services.runtime.kafka_topics import TopicSpec, topic_config
from services.runtime.ownership import Ownership
from services.runtime.service import Composed
from services.runtime.settings import KafkaSettings, Settings

PUBLISHED: Mapping[str, Sequence[Topic]] = {
    "agent_state": (t.OBSERVATIONS_DELIVERED, t.AGENTS_ACTED, t.POPULATION, t.MODEL_ANSWERS),
    "message_modulation": (t.OBSERVATIONS_DELIVERED, t.AGENTS_ACTED, t.STEP_COMPLETED),
    "scenario_extraction": (t.SCENARIOS_EXTRACTED,),
    "instruction_generation": (t.INSTRUCTIONS_GENERATED, t.DATASETS, t.POPULATION),
    "reward_filtering": (t.SAMPLES_JUDGED,),
}
"""What each service writes beside its changelogs, its model answers and dead letters."""

CLUSTER = "matrix"
KAFKA_NAMESPACE = "matrix-kafka"
USER_NAMESPACE = "matrix"
"""Where the services run: Strimzi puts the password of a user beside its KafkaUser."""
REPLICAS = 3
FOLDER = Path(__file__).parent / "base" / "kafka"
_PREFIX = "matrix."
_HEADER = "# Written by `python -m k8s.generate` of services/events/topics.py and the services.\n"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a service does at the broker, by names of topics and consumer groups."""

    reads: frozenset[str]
    writes: frozenset[str]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Membership:
    group: str
    topic: str
    restored: tuple[str, ...]


class _Recorder(Backbone):
    """A backbone that is never started, and notes which groups a service becomes a member of."""

    def __init__(self, service: str) -> None:
        # Defaults only: what somebody's environment holds must not come into the files.
        super().__init__(service, Settings.model_construct())
        self.noted: list[_Membership] = []

    def ownership(
        self,
        group: str,
        topic: str,
        fenced: Sequence[str] = (),
        restored: Sequence[str] = (),
        compacted: Sequence[str] = (),
    ) -> Ownership:
        """Return the membership of a group, and note it."""
        self.noted.append(_Membership(group, topic, (*fenced, *restored)))
        return super().ownership(group, topic, fenced, restored, compacted)


def rights(service: str) -> Rights:
    """Return what `service` needs, by putting it together without a connection.

    Raises:
        ValueError: its composition names a topic that it neither reads nor, by `PUBLISHED`,
            writes, or leaves one out.
    """
    recorder = _Recorder(service)
    composed: Composed = importlib.import_module(f"services.{service}.__main__").compose(recorder)
    kept = {topic for each in recorder.noted for topic in each.restored}
    reads = {each.topic for each in recorder.noted} | kept
    reads |= {route.topic for route in (*composed.broadcasts, *composed.feeds)}
    # The markers that a new owner writes make it a writer of all that it restores.
    writes = {topic.name for topic in PUBLISHED[service]} | kept | {t.DEAD_LETTERS.name}
    if unlike := (reads | writes) ^ set(composed.topics):
        raise ValueError(
            f"{service}: its composition and PUBLISHED differ about {', '.join(sorted(unlike))}"
        )
    groups = {each.group for each in recorder.noted}
    return Rights(frozenset(reads), frozenset(writes), frozenset(groups))


def topics() -> list[dict[str, Any]]:
    """Return every topic of the platform as a KafkaTopic."""
    settings = KafkaSettings()
    return [
        {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {
                "name": topic.name,
                "namespace": KAFKA_NAMESPACE,
                "labels": {"strimzi.io/cluster": CLUSTER},
            },
            "spec": {
                "partitions": settings.partitions,
                "replicas": REPLICAS,
                "config": topic_config(
                    TopicSpec(topic.name, topic.compacted, topic.kept), settings.max_message_bytes
                ),
            },
        }
        for topic in TOPICS
    ]


def users() -> list[dict[str, Any]]:
    """Return a KafkaUser for each service, and for the others who come to the brokers.

    `matrix-services` may what the services may, all together: for who gives them one password.
    `matrix-operator` is for the commands, `matrix-keda` for the autoscaler.
    """
    own = {service: rights(service) for service in SERVICES}
    every = Rights(
        frozenset().union(*(each.reads for each in own.values())),
        frozenset().union(*(each.writes for each in own.values())),
        frozenset().union(*(each.groups for each in own.values())),
    )
    found = [_user(name.replace("_", "-"), _acls(each)) for name, each in own.items()]
    found.append(_user("services", _acls(every)))
    commands = [
        # `matrix topics create`, and `matrix dead-letters`: a letter goes back to its own topic.
        _allow("topic", _PREFIX, "Create", "Describe", "Write", pattern="prefix"),
        _allow("topic", t.DEAD_LETTERS.name, "Read"),
    ]
    lag = [_allow("topic", _PREFIX, "Describe", pattern="prefix")]
    lag += [_allow("group", group, "Describe") for group in sorted(every.groups)]
    return [*found, _user("operator", commands), _user("keda", lag)]


def _acls(own: Rights) -> list[dict[str, Any]]:
    topics = sorted(own.reads | own.writes)
    acls = [_allow("topic", topic, *_operations(own, topic)) for topic in topics]
    return acls + [_allow("group", group, "Read", "Describe") for group in sorted(own.groups)]


def _operations(own: Rights, topic: str) -> list[str]:
    asked = {"Read": topic in own.reads, "Write": topic in own.writes}
    return [operation for operation, needed in asked.items() if needed] + ["Describe"]


def _allow(kind: str, name: str, *operations: str, pattern: str = "literal") -> dict[str, Any]:
    return {
        "resource": {"type": kind, "name": name, "patternType": pattern},
        "operations": list(operations),
    }


def _user(component: str, acls: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {
            "name": f"matrix-{component}",
            "namespace": USER_NAMESPACE,
            "labels": {"strimzi.io/cluster": CLUSTER},
        },
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": acls},
        },
    }


def files() -> dict[Path, str]:
    """Return the content of every file that is written here."""
    return {
        FOLDER / "topics.yaml": _HEADER + yaml.safe_dump_all(topics(), sort_keys=False),
        FOLDER / "users.yaml": _HEADER + yaml.safe_dump_all(users(), sort_keys=False),
    }


def differing() -> list[Path]:
    """Return the files that are not what the code needs."""
    wanted = files().items()
    return [path for path, text in wanted if not path.is_file() or path.read_text() != text]


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` name those that differ; return the exit code."""
    if list(arguments) == ["--check"]:
        for path in (wrong := differing()):
            print(f"{path.name} is not what the code needs: run `python -m k8s.generate`")
        return 1 if wrong else 0
    if arguments:
        print("usage: python -m k8s.generate [--check]", file=sys.stderr)
        return 2
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
