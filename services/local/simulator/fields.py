"""Single fields of a JSON body, with the type errors that vLLM's validation words."""

from collections.abc import Mapping
from typing import Any

from services.local.simulator.refusals import Refusal, unknown_model, validation_error

Body = Mapping[str, Any]


def whole(body: Body, field: str) -> int | None:
    """Return the integer in `field`; None if it is absent or null."""
    value = body.get(field)
    if value is None or type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise _wrong(
                "int_parsing", field, "integer, unable to parse string as an integer", value
            ) from None
    if isinstance(value, float):
        raise _wrong("int_from_float", field, "integer, got a number with a fractional part", value)
    raise _wrong("int_type", field, "integer", value)


def number(body: Body, field: str, default: float) -> float:
    """Return the number in `field`; `default` if it is absent or null."""
    value = body.get(field)
    if value is None:
        return default
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise _wrong(
                "float_parsing", field, "number, unable to parse string as a number", value
            ) from None
    raise _wrong("float_type", field, "number", value)


def flag(body: Body, field: str, *, default: bool = False) -> bool:
    """Return the truth value in `field`; `default` if it is absent or null."""
    value = body.get(field)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    raise _wrong("bool_type", field, "boolean", value)


def string(body: Body, field: str) -> str | None:
    """Return the text in `field`; None if it is absent or null."""
    value = body.get(field)
    if value is None or isinstance(value, str):
        return value
    raise _wrong("string_type", field, "string", value)


def strings(body: Body, field: str) -> tuple[str, ...]:
    """Return the text or the list of texts in `field`; empty if it is absent or null."""
    value = body.get(field)
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise _wrong("string_type", field, "string", value)


def served_name(body: Body, names: tuple[str, ...]) -> str:
    """Return the model that is asked for, the first of `names` if none is.

    Raises:
        Refusal: it is not one of `names`.
    """
    name = string(body, "model") or names[0]
    if name not in names:
        raise unknown_model(name, names)
    return name


def _wrong(kind: str, field: str, expected: str, value: Any) -> Refusal:
    return validation_error(kind, f"body.{field}", f"Input should be a valid {expected}", value)
