"""Which spans are made, what they say of where they are, and what headers of others count."""

import asyncio
import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanKind, StatusCode

from services.runtime import tracing
from services.runtime.errors import Rejected
from services.runtime.message_spans import processing, sending
from services.runtime.ports import Delivery, Record
from services.runtime.settings import TracingSettings, read_settings
from services.runtime.trace_context import sampled_parent, told
from tests.unit.runtime.spans import tracing_in_memory

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def message(**headers: str) -> Delivery:
    return Delivery("t", 3, 14, "k", b"x", headers)


def test_a_header_of_a_sampled_trace_says_where_its_span_is() -> None:
    found = sampled_parent(PARENT)
    assert found is not None
    assert found.is_remote
    assert told(found) == PARENT


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}-00",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
        "\x00" * 55,
        "x" * 1_000_000,
    ],
    ids=lambda text: repr(text[:70]),
)
def test_any_other_header_counts_as_none(text: str) -> None:
    assert sampled_parent(text) is None
    with tracing_in_memory() as kept, processing("g", message(traceparent=text)) as span:
        assert span is None
    assert not len(kept)


@given(st.text())
def test_no_header_whatever_breaks_the_work_on_its_message(text: str) -> None:
    found = sampled_parent(text)
    assert found is None or told(found) == text


def test_nothing_is_made_and_nothing_carried_without_tracing() -> None:
    record = Record("t", "k", b"x")
    with tracing.root("step"), tracing.child("chat") as span:
        assert (span, tracing.exemplar(), tracing.headers()) == (None, None, {})
        with sending([record]) as carrying:
            assert list(carrying) == [record]
    with processing("g", message(traceparent=PARENT)) as span:
        assert span is None


def test_the_sdk_is_loaded_only_where_something_is_traced() -> None:
    script = (
        "import sys, services.cli.commands, services.runtime.service\n"
        "from services.runtime.tracing import traced\n"
        "from services.runtime.settings import TracingSettings\n"
        "with traced(TracingSettings(), 'test'): pass\n"
        "print([m for m in sys.modules if m.startswith('opentelemetry.') "
        "and m.split('.')[1] in ('sdk', 'exporter', 'proto')])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_children_join_what_is_current_and_say_how_they_failed_but_not_why() -> None:
    def fail() -> None:
        with tracing.child("chat", SpanKind.CLIENT):
            raise Rejected("the prompt was: secret")

    with tracing_in_memory() as kept, tracing.root("step") as step:
        assert step is not None
        with pytest.raises(Rejected):
            fail()
        told_ = tracing.exemplar()
    made = kept.spans
    chat, root = made["chat"], made["step"]
    assert root.parent is None
    assert chat.parent is not None
    assert chat.parent.span_id == root.context.span_id
    assert told_ == {
        "trace_id": f"{root.context.trace_id:032x}",
        "span_id": f"{root.context.span_id:016x}",
    }
    assert (chat.status.status_code, root.status.is_unset) == (StatusCode.ERROR, True)
    assert attributes(chat)["error.type"] == "Rejected"
    assert "secret" not in chat.to_json()
    resource = chat.resource.attributes
    assert (resource["service.name"], resource["service.instance.id"]) == ("matrix-test", "r1")


def test_so_many_of_the_traces_are_sampled_as_the_settings_say() -> None:
    random.seed(7)
    with tracing_in_memory(0.1) as kept:
        for _ in range(2000):
            with tracing.root("step"), tracing.child("chat"):
                pass
    names = [span.name for span in kept.exporter.get_finished_spans()]
    assert names.count("chat") == names.count("step")
    assert 150 < names.count("step") < 250


def test_what_is_not_sampled_is_in_nobodys_trace() -> None:
    with tracing_in_memory(0) as kept, tracing.root("other", ratio=1.0):
        # As a task that was begun inside the span of another message.
        with tracing.root("step") as step, tracing.child("chat") as chat:
            assert (step, chat, tracing.traceparent()) == (None, None, "")
        with processing("g", message()) as span:
            assert (span, tracing.current()) == (None, None)
        assert tracing.current() is not None
    assert list(kept.spans) == ["other"]


def test_a_message_goes_on_with_the_trace_of_its_sender() -> None:
    with tracing_in_memory() as kept:
        with tracing.root("before"), sending([Record("t", "k", b"x", {"type": "A"})]) as [record]:
            assert record.headers["type"] == "A"
        delivery = message(**record.headers, **{"message-id": "m1"})
        for _ in range(2):  # It may come again: another span of the same trace.
            with processing("readers", delivery) as span:
                assert span is not None
    made = kept.exporter.get_finished_spans()
    send, before, *process = made
    assert (send.name, send.kind) == ("send t", SpanKind.PRODUCER)
    assert {each.context.trace_id for each in made} == {before.context.trace_id}
    assert len(process) == 2
    for each in process:
        assert (each.name, each.kind) == ("process t", SpanKind.CONSUMER)
        assert each.parent is not None
        assert each.parent.span_id == send.context.span_id
        assert attributes(each) == {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": "t",
            "messaging.destination.partition.id": "3",
            "messaging.kafka.offset": 14,
            "messaging.kafka.message.key": "k",
            "messaging.consumer.group.name": "readers",
            "messaging.message.id": "m1",
        }


def test_a_message_that_begins_a_trace_is_linked_to_its_sender() -> None:
    with tracing_in_memory() as kept, processing("g", message(traceparent=PARENT), begins=True):
        pass
    [step] = kept.exporter.get_finished_spans()
    assert (step.name, step.parent) == ("step k", None)
    assert [told(link.context) for link in step.links] == [PARENT]
    assert f"{step.context.trace_id:032x}" != TRACE


def test_a_publish_of_very_many_records_carries_no_trace() -> None:
    many = [Record("t", str(n), b"x") for n in range(1000)]
    with tracing_in_memory() as kept, tracing.root("import"), sending(many) as records:
        assert not any(record.headers for record in records)
    assert attributes(kept.spans["send t"])["messaging.batch.message_count"] == 1000


def test_a_record_carries_the_trace_however_many_tombstones_go_with_it() -> None:
    records = [Record("t", "k", b"x"), *(Record("a", str(n), b"") for n in range(1000))]
    with tracing_in_memory() as kept, tracing.root("step"), sending(records) as carried:
        first, *tombstones = carried
    assert sampled_parent(first.headers["traceparent"]) is not None
    assert not any(record.headers for record in tombstones)
    assert attributes(kept.spans["send t"])["messaging.destination.name"] == "t"


async def test_what_a_task_does_after_its_span_has_ended_is_no_part_of_it() -> None:
    ended = asyncio.Event()

    async def later() -> None:
        await ended.wait()
        with tracing.child("late") as span:
            assert span is None

    with tracing_in_memory() as kept:
        with tracing.root("step"):
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
        ended.set()
        await task
    assert list(kept.spans) == ["step"]


def test_a_span_of_the_past_is_made_with_its_links() -> None:
    parent = sampled_parent(PARENT)
    assert parent is not None
    with tracing_in_memory() as kept:
        tracing.record(parent, "store", 1_000, [Link(parent)], {"matrix.table": "x"})
    store = kept.spans["store"]
    assert store.start_time == 1_000
    assert store.parent is not None
    assert [told(link.context) for link in store.links] == [PARENT]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENDPOINT", "collector:4317"),
        ("ENDPOINT", "http://user:password@collector:4317"),
        ("ENDPOINT", "http://collector/v1/traces"),
        ("SAMPLE_RATIO", "1.5"),
        ("SAMPLE_RATIO", "-1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"MATRIX_TRACING__{name}", value)
    with pytest.raises(Rejected, match=f"MATRIX_TRACING__{name}"):
        read_settings()


def test_authorities_that_cannot_be_read_are_named(tmp_path: Any) -> None:
    settings = TracingSettings(endpoint="https://collector:4317", ca_file=tmp_path / "none.pem")
    traced = tracing.traced(settings, "test")
    with pytest.raises(Rejected, match=r"MATRIX_TRACING__CA_FILE .*none\.pem"), traced:
        pass
