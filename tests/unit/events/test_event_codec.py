import contextlib
import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix.events.v1 import events_pb2

import services
from services import events
from services.events.codec import CODECS, from_delivery, to_record
from services.events.topics import AGENTS, POPULATION, SAMPLES_JUDGED, STEP_COMPLETED
from services.runtime.errors import Rejected
from services.runtime.ports import Delivery, Record
from services.runtime.protobuf import Codec


def changelog_codecs() -> Iterator[Codec[Any]]:
    """The codecs in `services/*/codec.py`."""
    for path in sorted(Path(services.__file__).parent.glob("*/codec.py")):
        module = importlib.import_module(f"services.{path.parent.name}.codec")
        yield from (value for value in vars(module).values() if isinstance(value, Codec))


EVENTS = list(CODECS.values())
CHANGELOGS = list(changelog_codecs())
each_codec = pytest.mark.parametrize(
    "codec", EVENTS + CHANGELOGS, ids=lambda codec: codec.message_type.DESCRIPTOR.full_name
)


def hints(cls: type) -> dict[str, Any]:
    resolved = typing.get_type_hints(cls)
    return {field.name: resolved[field.name] for field in dataclasses.fields(cls)}


def item_of(hint: Any) -> Any:
    """X of `X`, `X | None`, `tuple[X, ...]` and `Mapping[str, X]`."""
    if isinstance(hint, types.UnionType):
        return next(item for item in typing.get_args(hint) if item is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0]
    return typing.get_args(hint)[1] if typing.get_origin(hint) is Mapping else hint


SCALARS = {
    FieldDescriptor.TYPE_STRING: "str",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_INT64: "int",
    FieldDescriptor.TYPE_DOUBLE: "float",
    FieldDescriptor.TYPE_FLOAT: "float",
}


def message_of(codec: Codec[Any]) -> Descriptor:
    return typing.cast(Descriptor, codec.message_type.DESCRIPTOR)


def entry(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor] | None:
    """Key and value of a map."""
    if field.message_type is None or not field.message_type.GetOptions().map_entry:
        return None
    return field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]


def declared(field: FieldDescriptor) -> str:
    """The type of a message's field, as the dataclass has to declare it."""
    if pair := entry(field):
        return f"Mapping[{', '.join(map(declared, pair))}]"
    name = field.message_type.name if field.message_type else SCALARS[field.type]
    if field.is_repeated:
        return f"tuple[{name}, ...]"
    # A scalar that is not `optional` in the file cannot be told from one that is 0 or empty.
    return f"{name} | None" if field.has_presence and not field.message_type else name


def spelled(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        item = item_of(hint)
        return spelled(item) if dataclasses.is_dataclass(item) else f"{spelled(item)} | None"
    if typing.get_origin(hint) is tuple:
        return f"tuple[{spelled(item_of(hint))}, ...]"
    if typing.get_origin(hint) is Mapping:
        return f"Mapping[{', '.join(map(spelled, typing.get_args(hint)))}]"
    return str(hint.__name__)


def differences(cls: type, message: Descriptor) -> list[str]:
    own = {f"{cls.__name__}.{name}: {spelled(hint)}" for name, hint in hints(cls).items()}
    theirs = {f"{message.name}.{field.name}: {declared(field)}" for field in message.fields}
    found = sorted(own ^ theirs)
    for field in message.fields:
        if field.message_type and not entry(field) and not found:
            found += differences(item_of(hints(cls)[field.name]), field.message_type)
    return found


def test_events_are_the_messages_of_the_proto_file_and_no_others() -> None:
    exported = {name for name, _ in inspect.getmembers(events, dataclasses.is_dataclass)}
    assert exported == set(events_pb2.DESCRIPTOR.message_types_by_name)
    assert sorted(exported) == sorted(events.__all__)
    declared_in = (events.society, events.datasets, events.control)
    values = {
        name
        for module in declared_in
        for name, cls in inspect.getmembers(module, dataclasses.is_dataclass)
        if cls.__module__ == module.__name__
    }
    assert values == exported


def test_every_message_of_a_state_file_is_kept_in_that_changelog() -> None:
    assert len(CHANGELOGS) >= 4
    for codec in CHANGELOGS:
        file = message_of(codec).file
        reached: set[str] = set()
        waiting = [message_of(codec)]
        while waiting:
            message = waiting.pop()
            reached.add(message.full_name)
            waiting += [field.message_type for field in message.fields if field.message_type]
        for message in file.message_types_by_name.values():
            assert message.full_name in reached


@each_codec
def test_a_value_has_exactly_the_fields_of_its_message(codec: Codec[Any]) -> None:
    assert differences(codec.value_type, message_of(codec)) == []


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    return {
        "str": st.text(max_size=5),
        "bytes": st.binary(max_size=5),
        "bool": st.booleans(),
        "int": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(
            allow_nan=False, width=32 if field.type == FieldDescriptor.TYPE_FLOAT else 64
        ),
    }[SCALARS[field.type]]


def values(cls: type, message: Descriptor) -> st.SearchStrategy[Any]:
    fields = {}
    for field in message.fields:
        hint = hints(cls)[field.name]
        if pair := entry(field):
            made: st.SearchStrategy[Any] = st.dictionaries(*map(scalars, pair), max_size=3)
        else:
            one = (
                values(item_of(hint), field.message_type) if field.message_type else scalars(field)
            )
            made = st.lists(one, max_size=2).map(tuple) if field.is_repeated else one
        fields[field.name] = made | st.none() if isinstance(hint, types.UnionType) else made
    return st.builds(cls, **fields)


@each_codec
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_encoded_comes_back_equal(codec: Codec[Any], data: st.DataObject) -> None:
    value = data.draw(values(codec.value_type, message_of(codec)))
    assert codec.decode(codec.encode(value)) == value


@each_codec
@settings(max_examples=25)
@given(data=st.binary())
def test_any_bytes_are_a_value_or_rejected(codec: Codec[Any], data: bytes) -> None:
    with contextlib.suppress(Rejected):
        assert isinstance(codec.decode(data), codec.value_type)


@each_codec
@pytest.mark.parametrize("data", [b"\xff", b"<html>", b'{"a": 1}', b"\x0a\x7f", b"\x0a" * 99])
def test_bytes_of_no_message_are_rejected(codec: Codec[Any], data: bytes) -> None:
    with pytest.raises(Rejected, match="bytes are no matrix"):
        codec.decode(data)


def test_text_that_is_not_unicode_is_rejected() -> None:
    with pytest.raises(Rejected):
        CODECS["QuotaReleased"].decode(b"\x0a\x01\xff")


RELEASE = events.QuotaReleased("sft", "r1", 3)


def delivered(record: Record, **changes: Any) -> Delivery:
    delivery = Delivery(record.topic, 2, 7, record.key, record.value, record.headers)
    return dataclasses.replace(delivery, **changes)


def test_an_event_travels_as_a_record_of_its_topic_and_key() -> None:
    record = to_record(SAMPLES_JUDGED, "sft/r1", RELEASE)
    assert (record.topic, record.key) == ("matrix.samples-judged.v1", "sft/r1")
    assert record.headers["type"] == "QuotaReleased"
    assert from_delivery(delivered(record)) == RELEASE


def test_a_message_id_says_whether_two_messages_are_the_same() -> None:
    def message_id(event: object, key: str = "k", cause: str = "") -> str:
        return to_record(SAMPLES_JUDGED, key, event, cause=cause).headers["message-id"]

    other = dataclasses.replace(RELEASE, released=4)
    assert message_id(RELEASE) == message_id(dataclasses.replace(RELEASE))
    assert message_id(RELEASE, cause="c") == message_id(other, cause="c")
    ids = [message_id(RELEASE), message_id(other), message_id(RELEASE, "l")]
    ids += [message_id(RELEASE, cause="c"), message_id(RELEASE, cause="d")]
    ids.append(message_id(events.Appetite("sft", True), cause="c"))
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"headers": {}}, r"matrix.samples-judged.v1\[2\]@7: type header ''"),
        ({"headers": {"type": "Nonsense"}}, "'Nonsense', expected SampleJudged or QuotaReleased"),
        ({"headers": {"type": "Appetite"}}, "'Appetite', expected SampleJudged or QuotaReleased"),
        ({"topic": STEP_COMPLETED.name}, "'QuotaReleased', expected StepCompleted"),
        ({"topic": AGENTS.name}, "expected no event on this topic"),
        ({"value": b"\xff"}, "1 bytes are no matrix.events.v1.QuotaReleased"),
    ],
)
def test_a_message_that_its_topic_does_not_carry_is_rejected(
    changes: dict[str, Any], message: str
) -> None:
    record = to_record(SAMPLES_JUDGED, "sft/r1", RELEASE)
    with pytest.raises(Rejected, match=message):
        from_delivery(delivered(record, **changes))


def test_a_topic_carries_several_kinds_of_events() -> None:
    appetite = events.Appetite("r1", hungry=False)
    society = events.SocietyImported(3, 1, {"r1": 3}, 0, "f")
    limit = events.PopulationSet(0, 1.5)
    for event in (appetite, society, limit):
        assert from_delivery(delivered(to_record(POPULATION, "key", event))) == event
