"""Values as messages and back, and what a request gave."""

from dataclasses import dataclass
from typing import Literal

from matrix.instruction_generation.v1 import service_pb2 as pb

from services.runtime.dry_runs import unrecorded
from services.runtime.ports import ChatAnswer, ChatRequest, Completion, Message, Role
from services.runtime.protobuf import Codec, given_fields


@dataclass(frozen=True, slots=True)
class Status:
    """A field of a few words, beside numbers."""

    dataset: str
    state: Literal["filling", "paused"]
    size: int


def test_a_value_becomes_a_message_and_comes_back() -> None:
    codec = Codec(Status, pb.DatasetStatus)
    status = Status("d", "paused", 3)
    message = codec.to_message(status)
    assert message == pb.DatasetStatus(dataset="d", state="paused", size=3)
    assert codec.from_message(message) == status
    assert codec.decode(codec.encode(status)) == status


def test_given_fields_are_those_that_the_caller_set_even_to_0() -> None:
    given = pb.FilterOverrides(stages=["static"], responses=0, min_distance=0.0)
    assert given_fields(given) == {"stages": ("static",), "responses": 0, "min_distance": 0.0}
    assert given_fields(pb.FilterOverrides()) == {}


class Counting:
    """A model that answers with how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def chat(self, role: Role, stage: str, request: ChatRequest) -> ChatAnswer:
        self.asked += 1
        return ChatAnswer((Completion(str(self.asked), "stop"),), "m", 1, 1)


async def test_each_dry_run_asks_the_model_anew() -> None:
    model = Counting()
    request = ChatRequest((Message("user", "hello"),), 5)
    answers = [
        await unrecorded(model).unit("dry-run", "k").chat("a", "teacher", "s", request)
        for _ in range(2)
    ]
    assert [answer.completions[0].text for answer in answers] == ["1", "2"]
