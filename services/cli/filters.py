"""`--filter KEY=VALUE`: settings of a dataset's filter, as typed."""

from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.descriptor import FieldDescriptor
from matrix.instruction_generation.v1 import service_pb2 as pb

from services.runtime.errors import Rejected

FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="A filter setting that differs from the kind's, as responses=8; may be repeated.",
    ),
]
_FIELDS = pb.FilterOverrides.DESCRIPTOR.fields_by_name
_FLAGS = {"true": True, "false": False}


def filter_overrides(given: Sequence[str]) -> pb.FilterOverrides:
    """Return the settings; whether they are in their ranges, the service says.

    Raises:
        Rejected: one is no KEY=VALUE, unknown, given twice, or its value no number.
    """
    overrides = pb.FilterOverrides()
    seen: set[str] = set()
    for text in given:
        key, sign, value = (part.strip() for part in text.partition("="))
        name = key.replace("-", "_")
        if not sign or name not in _FIELDS:
            raise Rejected(f"--filter {text!r}: give KEY=VALUE; keys are {', '.join(_FIELDS)}")
        if name in seen:
            raise Rejected(f"--filter {name} is given twice: give it once")
        seen.add(name)
        if name == "stages":
            overrides.stages.extend(part.strip() for part in value.split(","))
        else:
            setattr(overrides, name, _typed(name, value))
    return overrides


def _typed(name: str, value: str) -> str | bool | int | float:
    if _FIELDS[name].type == FieldDescriptor.TYPE_STRING:
        return value
    if _FIELDS[name].type == FieldDescriptor.TYPE_BOOL:
        if value not in _FLAGS:
            raise Rejected(f"--filter {name}={value}: give true or false")
        return _FLAGS[value]
    return _number(name, value)


def _number(name: str, value: str) -> int | float:
    whole = _FIELDS[name].type == FieldDescriptor.TYPE_INT64
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise Rejected(f"--filter {name}={value}: {value!r} is not {kind}") from None
    if whole and abs(number) >= 1 << 63:
        raise Rejected(f"--filter {name}={value}: {value} is too large")
    return number
