"""Frozen dataclasses to protobuf messages and back, field by field, by name.

A dataclass and its message declare the same field names (a test compares every pair), so that the
domain stays free of protobuf and no service writes the same assignments by hand.
"""

import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from services.runtime.errors import Rejected

T = TypeVar("T")

_Convert = Callable[[Any], Any]


def _unoptional(hint: Any) -> Any:
    """Return `X` of `X | None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(a for a in typing.get_args(hint) if a is not type(None))
    return hint


def _fields(cls: type) -> list[tuple[str, Any]]:
    hints = typing.get_type_hints(cls)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(cls)]


@functools.cache
def _reader(hint: Any) -> _Convert:
    """Return what turns a field of a message into a value of type `hint`."""
    plain = _unoptional(hint)
    if dataclasses.is_dataclass(plain):
        return functools.partial(_read, typing.cast(type, plain))
    origin = typing.get_origin(plain)
    if origin is tuple:
        item = typing.get_args(plain)[0]
        if dataclasses.is_dataclass(item):
            read = _reader(typing.cast(Any, item))
            return lambda values: tuple(map(read, values))
        return tuple
    if origin not in (None, typing.Literal):
        return dict
    return lambda value: value


def _field_reader(name: str, hint: Any) -> _Convert:
    # The same ids come with every message, and a message that is kept keeps them: one text each.
    if name.endswith("_id") and hint is str:
        return sys.intern
    if name.endswith("_ids"):
        return lambda values: tuple(map(sys.intern, values))
    return _reader(hint)


@functools.cache
def _plan(cls: type) -> list[tuple[str, _Convert, bool]]:
    return [
        (name, _field_reader(name, hint), hint is not _unoptional(hint))
        for name, hint in _fields(cls)
    ]


def _read(cls: type[T], message: Message) -> T:
    values = {}
    for name, read, optional in _plan(typing.cast(Any, cls)):
        absent = optional and not message.HasField(name)
        values[name] = None if absent else read(getattr(message, name))
    return cls(**values)


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


@functools.cache
def _write_plan(cls: type) -> list[tuple[str, str]]:
    return [(name, _kind(hint)) for name, hint in _fields(cls)]


def _write(value: Any, message: Any) -> None:
    for name, kind in _write_plan(typing.cast(Any, type(value))):
        item = getattr(value, name)
        if kind == "scalar":
            if item:
                setattr(message, name, item)
        elif kind == "optional":
            if item is not None:
                setattr(message, name, item)
        elif kind == "message":
            if item is not None:
                target = getattr(message, name)
                target.SetInParent()
                _write(item, target)
        elif kind == "messages":
            add = getattr(message, name).add
            for element in item:
                _write(element, add())
        elif kind == "scalars":
            getattr(message, name).extend(item)
        else:
            getattr(message, name).update(item)


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

    def to_message(self, value: T) -> Any:
        """Return the value as a message, for an answer that holds it."""
        message = self.message_type()
        _write(value, message)
        return message

    def from_message(self, message: Message) -> T:
        """Return the value of a message that a request holds."""
        return _read(self.value_type, message)

    def encode(self, value: T) -> bytes:
        """Return the serialised message."""
        data: bytes = self.to_message(value).SerializeToString(deterministic=True)
        return data

    def decode(self, data: bytes) -> T:
        """Return the value.

        Raises:
            Rejected: `data` is not such a message.
        """
        return _read(self.value_type, self._parsed(data))

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
