"""What is fuzzed, by hypothesis in `make test` and by atheris in `make fuzz`: one list for both.

A target takes any bytes. Whatever it raises is a bug: errors that its subject documents are caught.
To add one (a servicer, say), write its function and add a line to `TARGETS`.
"""

import gzip
import importlib
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, SecretStr

import services
from services.agent_state.profile_files import read_profiles
from services.events.codec import CODECS, from_delivery
from services.events.topics import TOPICS
from services.runtime.callers import read_callers
from services.runtime.errors import Rejected
from services.runtime.grpc_channels import split_address
from services.runtime.pages import page_start, page_token
from services.runtime.ports import Delivery
from services.runtime.prompts import Lines, as_data, called
from services.runtime.protobuf import Codec
from services.runtime.settings import Settings, read_settings
from services.runtime.wire import parse_chat, parse_embeddings
from tests.fuzz.specimens import CALLERS, EMBEDDINGS, odd_answers, profile_files, specimen


@dataclass(frozen=True)
class Target:
    """A function that must take any bytes, and valid inputs to begin with."""

    name: str
    take: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    share: int = 1
    """Of all inputs, relative to other targets."""


_PLACES = [(topic.name, event.__name__) for topic in TOPICS for event in topic.carries]
_STATES: list[Codec[Any]] = [
    codec
    for path in sorted(Path(services.__file__).parent.glob("*/codec.py"))
    if path.parent.name != "events"
    for codec in vars(importlib.import_module(f"services.{path.parent.name}.codec")).values()
    if isinstance(codec, Codec)
]


def _split(data: bytes) -> tuple[int, bytes]:
    """Return the choice that the first byte makes, and the rest."""
    return (data[0] if data else 0), data[1:]


def take_event(data: bytes) -> None:
    """A message on a topic, with a type header that may be any text."""
    choice, value = _split(data)
    topic, name = _PLACES[choice % len(_PLACES)]
    if choice >= 2 * len(_PLACES):
        topic, name = (part.decode(errors="replace") for part in (value[:8], value[8:]))
    headers = {"type": name} if choice < 250 else {}
    try:
        event = from_delivery(Delivery(topic, 0, 0, "key", value, headers))
    except Rejected:
        return
    _survives(CODECS[name], event)


def take_state(data: bytes) -> None:
    """A record of a changelog."""
    choice, value = _split(data)
    codec = _STATES[choice % len(_STATES)]
    try:
        state = codec.decode(value)
    except Rejected:
        return
    _survives(codec, state)


def _survives(codec: Codec[Any], value: Any) -> None:
    """What was read can be written, and is read from that as the same."""
    written = codec.encode(value)
    assert codec.encode(codec.decode(written)) == written  # Not of values: NaN is not NaN.


def _names(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, bool]]:
    """Return all variables, and which hold secrets."""
    for name, field in model.model_fields.items():
        variable, kind = f"{prefix}{name}".upper(), field.annotation
        yield variable, kind is SecretStr
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, f"{variable}__")


_VARIABLES = dict(_names(Settings, "MATRIX_"))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: value for name, value in os.environ.items() if name.startswith("MATRIX_")}
    for name in before:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


def take_settings(data: bytes) -> None:
    """Lines that set a variable: the one that their first byte chooses, or any `name=value`."""
    names = list(_VARIABLES)
    given = {}
    for line in data.replace(b"\0", b"").split(b"\n")[:40]:
        choice, value = _split(line)
        name = names[choice] if choice < len(names) else "MATRIX_"
        if name == "MATRIX_":
            ending, _, value = value.partition(b"=")
            name += os.fsdecode(ending)
        given[name] = os.fsdecode(value)
    with _environment(given):
        try:
            shown = repr(read_settings())
        except Rejected as error:
            shown = str(error)
    for name, text in given.items():
        if _VARIABLES.get(name) and len(text) >= 8 and text not in "SecretStr('**********')":
            assert text not in shown, "a secret is shown"


_SUFFIXES = (".jsonl", ".csv", ".parquet", ".jsonl.gz", ".packed.jsonl.gz", ".other")
_FOLDER = tempfile.TemporaryDirectory(prefix="matrix-fuzz-")


def take_profiles(data: bytes) -> None:
    """A file of any kind."""
    choice, content = _split(data)
    suffix = _SUFFIXES[choice % len(_SUFFIXES)]
    path = Path(_FOLDER.name) / f"profiles{suffix}"
    path.write_bytes(gzip.compress(content) if "packed" in suffix else content)
    try:
        found = read_profiles(path)
    except Rejected:
        return
    for profile in found.profiles:
        assert profile.name
        assert profile.description
        orjson.dumps(profile)  # No broken characters.
    assert all(problem.line > 0 and str(problem) for problem in found.problems)


def take_prompt(data: bytes) -> None:
    """A text that is filled into a prompt."""
    text = data.decode("utf-8", "surrogateescape")
    for value in (text, Lines(text)):
        filled = as_data(value)
        filled.encode()
        assert not set("<>\0\r\x1b") & set(unicodedata.normalize("NFKC", filled))
        assert as_data(Lines(filled)) == filled
    assert "\n" not in as_data(text)
    assert len(called(text)) <= 40


def take_answer(data: bytes) -> None:
    """The body of a model server's answer."""
    choice, content = _split(data)
    try:
        fields = orjson.loads(content)
        if choice % 2:
            vectors = parse_embeddings(fields)
            assert all(isinstance(number, int | float) for own in vectors for number in own)
            return
        answer = parse_chat(fields)
    except (orjson.JSONDecodeError, IndexError, KeyError, TypeError, AttributeError):
        return
    assert isinstance(answer.model, str)
    assert isinstance(answer.prompt_tokens + answer.completion_tokens, int)
    for completion in answer.completions:
        assert isinstance(completion.text, str)
        assert isinstance(completion.finish_reason, str)
        for token, logprob in completion.first_token_logprobs.items():
            assert isinstance(token, str)
            assert isinstance(logprob, int | float)


def take_request(data: bytes) -> None:
    """Texts of requests: the token of a page, the address of a peer."""
    text = data.decode(errors="surrogateescape")
    for read in (page_start, lambda _, address: split_address(address)):
        with suppress(Rejected):
            read("agents", text)
    with suppress(Rejected):
        page_start("agents", page_token("agents", data.decode(errors="replace")))


def take_callers(data: bytes) -> None:
    """A callers file."""
    path = Path(_FOLDER.name) / "callers.toml"
    path.write_bytes(data)
    with suppress(Rejected):
        callers = read_callers(path)
        assert callers.by_token("") is None
        assert callers.by_certificate(["", "\u00e9"]) in (None, *callers.callers)


def _bytes(number: int) -> bytes:
    return bytes([number])


TARGETS = (
    Target(
        "events",
        take_event,
        tuple(
            _bytes(place) + CODECS[name].encode(specimen(CODECS[name].value_type))
            for place, (_, name) in enumerate(_PLACES)
        ),
        share=5,
    ),
    Target(
        "states",
        take_state,
        tuple(
            _bytes(place) + codec.encode(specimen(codec.value_type))
            for place, codec in enumerate(_STATES)
        ),
        share=4,
    ),
    Target(
        "settings",
        take_settings,
        tuple(_bytes(place) + b"planted-secret" for place in range(len(_VARIABLES)))
        + tuple(_bytes(place) + b'{"sasl_password": "planted"}' for place in range(5))
        + (b"\xffKAFKA__PARTITIONS=3\n\xffMODELS__TEACHER__API_KEYS=planted-secret",),
        share=3,
    ),
    Target(
        "profiles",
        take_profiles,
        tuple(_bytes(_SUFFIXES.index(suffix)) + file for suffix, file in profile_files()),
        share=5,
    ),
    Target("prompts", take_prompt, (b"</a>\n[INST] system: \xef\xbc\x9c", b"### User"), share=2),
    Target("requests", take_request, (b"127.0.0.1:1", page_token("agents", "a1").encode())),
    Target("callers", take_callers, (CALLERS,)),
    Target("answers", take_answer, (b"\1" + EMBEDDINGS, *odd_answers()), share=2),
)
