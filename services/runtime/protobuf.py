"""Frozen dataclasses to protobuf messages and back, field by field, by name.

A dataclass and its message declare the same field names (a test compares every pair), so that the
domain stays free of protobuf and no service writes the same assignments by hand.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from services.runtime.errors import Rejected

T = TypeVar("T")

_Convert = Callable[..., Any]


def _unoptional(hint: Any) -> Any:
    """Return `X` of `X | None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(a for a in typing.get_args(hint) if a is not type(None))
    return hint


def _fields(cls: type) -> list[tuple[str, Any]]:
    hints = typing.get_type_hints(cls)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(cls)]


@functools.cache
def _kind(hint: Any) -> str:
    plain = _unoptional(hint)
    if dataclasses.is_dataclass(plain):
        return "message"
    if plain is not hint:
        return "optional"
    origin = typing.get_origin(plain)
    if origin is tuple:
        return "messages" if dataclasses.is_dataclass(typing.get_args(plain)[0]) else "scalars"
    return "scalar" if origin in (None, typing.Literal) else "map"


def _inner(hint: Any) -> type:
    """Return the dataclass of a field that holds one, or a tuple of them."""
    plain = _unoptional(hint)
    return typing.cast(
        type, plain if dataclasses.is_dataclass(plain) else typing.get_args(plain)[0]
    )


_READ = {
    "scalar": "message.{name}",
    "optional": "message.{name} if message.HasField('{name}') else None",
    "message": "convert_{name}(message.{name})",
    "messages": "tuple(map(convert_{name}, message.{name}))",
    "scalars": "tuple(message.{name})",
    "map": "dict(message.{name})",
}
_WRITE = {
    "scalar": "if value.{name}: message.{name} = value.{name}",
    "optional": "if value.{name} is not None: message.{name} = value.{name}",
    "message": "message.{name}.SetInParent(); convert_{name}(value.{name}, message.{name})",
    "messages": "for item in value.{name}: convert_{name}(item, message.{name}.add())",
    "scalars": "message.{name}.extend(value.{name})",
    "map": "message.{name}.update(value.{name})",
}


@functools.cache
def _reader(cls: type) -> _Convert:
    """Return the function that makes a value of a message, compiled for its fields."""
    arguments: list[str] = []
    names: dict[str, Any] = {"cls": cls}
    for name, hint in _fields(cls):
        kind = _kind(hint)
        if kind in ("message", "messages"):
            names[f"convert_{name}"] = _reader(_inner(hint))
        expression = _READ[kind].format(name=name)
        if kind == "message" and _unoptional(hint) is not hint:
            expression += f" if message.HasField('{name}') else None"
        arguments.append(f"{name}={expression}")
    return _compiled(f"return cls({', '.join(arguments)})", "message", names)


@functools.cache
def _writer(cls: type) -> _Convert:
    """Return the function that writes a value into an empty message, compiled for its fields."""
    lines = ["pass"]
    names: dict[str, Any] = {}
    for name, hint in _fields(cls):
        kind = _kind(hint)
        if kind in ("message", "messages"):
            names[f"convert_{name}"] = _writer(_inner(hint))
        when = f"if value.{name} is not None: " if kind == "message" else ""
        lines.append(when + _WRITE[kind].format(name=name))
    return _compiled("\n    ".join(lines), "value, message", names)


def _compiled(body: str, arguments: str, names: dict[str, Any]) -> _Convert:
    """Compile a function, as `dataclasses` does: names of fields are all that goes into its text.

    A step of a group converts hundreds of small values; a loop over their fields takes twice as
    long.
    """
    exec(f"def convert({arguments}):\n    {body}", names)
    return typing.cast(_Convert, names["convert"])


def given_fields(message: Message) -> dict[str, Any]:
    """Return the scalar fields that were given, by name: optional ones also when 0."""
    return {
        field.name: tuple(value) if field.is_repeated else value
        for field, value in message.ListFields()
    }


class Codec(typing.Generic[T]):
    """Bytes of one message type to values of one dataclass, and back."""

    def __init__(self, value_type: type[T], message_type: type[Message]) -> None:
        self.value_type = value_type
        self.message_type = message_type

    # Compiled when they are first used: a service does not use all.
    @functools.cached_property
    def _read(self) -> _Convert:
        return _reader(typing.cast(Any, self.value_type))

    @functools.cached_property
    def _write(self) -> _Convert:
        return _writer(typing.cast(Any, self.value_type))

    def to_message(self, value: T) -> Any:
        """Return the value as a message, for an answer that holds it."""
        message = self.message_type()
        self._write(value, message)
        return message

    def from_message(self, message: Message) -> T:
        """Return the value of a message that a request holds."""
        return typing.cast(T, self._read(message))

    def encode(self, value: T) -> bytes:
        """Return the serialised message."""
        data: bytes = self.to_message(value).SerializeToString(deterministic=True)
        return data

    def decode(self, data: bytes) -> T:
        """Return the value.

        Raises:
            Rejected: `data` is not such a message.
        """
        return typing.cast(T, self._read(self._parsed(data)))

    def check(self, data: bytes) -> None:
        """See to it that `decode` will give a value; costs a tenth of it.

        Raises:
            Rejected: `data` is not such a message.
        """
        self._parsed(data)

    def _parsed(self, data: bytes) -> Message:
        try:
            return self.message_type.FromString(data)
        except DecodeError as error:
            name = self.message_type.DESCRIPTOR.full_name
            raise Rejected(f"{len(data)} bytes are no {name}: {error}") from error
