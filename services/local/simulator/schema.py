"""JSON schemas (draft 2020-12, the part that structured outputs use): checks and look-ups.

Understood: object (properties, required, additionalProperties), array (items, minItems, maxItems,
uniqueItems), string (enum, minLength, maxLength, pattern), integer and number (bounds, integer
multipleOf), boolean, null, const, enum, anyOf and oneOf (the first branch), a list of types (the
first one), `$ref` into `$defs`. Other keywords that restrict are refused, as a grammar would.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from services.local.simulator.pattern import PatternError, check_pattern

_TYPES = frozenset(("object", "array", "string", "integer", "number", "boolean", "null"))
_REFUSED_TEXT = """
allOf not if then else dependentRequired dependentSchemas patternProperties propertyNames
minProperties maxProperties prefixItems contains minContains maxContains unevaluatedItems
unevaluatedProperties
"""
_REFUSED = frozenset(_REFUSED_TEXT.split())
_SHAPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("properties", "$defs"), dict),
    **dict.fromkeys(("required", "enum", "anyOf", "oneOf"), list),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength", "multipleOf"), int),
    **dict.fromkeys(("minimum", "maximum"), (int, float)),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), (int, float)),
    **dict.fromkeys(("pattern", "$ref"), str),
    "type": (str, list),
    "uniqueItems": bool,
}
DEEPEST = 24
"""Levels of nesting that are followed."""

Schema = Mapping[str, Any]


class SchemaError(ValueError):
    """The schema is wrong, cannot be met, or is beyond what is understood here."""


def check_schema(schema: Any, root: Any = None, depth: int = 0) -> None:
    """Refuse what no answer could be made for.

    Raises:
        SchemaError: says what of `schema` is wrong or not understood.
    """
    root = schema if root is None else root
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise SchemaError(f"JSON schema must be an object or a boolean, got {schema!r}")
    if depth > DEEPEST:
        raise SchemaError(f"schema nests deeper than {DEEPEST}")
    refused = sorted(_REFUSED & schema.keys())
    if refused:
        raise SchemaError(f"Unimplemented keys: {json.dumps(refused)}")
    for key in _SHAPES.keys() & schema.keys():
        if not isinstance(schema[key], _SHAPES[key]):
            raise SchemaError(f"Invalid value for {key}: {schema[key]!r}")
    if schema.get("multipleOf", 1) <= 0 or schema.get("enum") == []:
        raise SchemaError("Unsatisfiable schema: multipleOf must be above 0, enum not empty")
    kinds = schema.get("type", ())
    for kind in (kinds,) if isinstance(kinds, str) else kinds:
        if kind not in _TYPES:
            raise SchemaError(f"Invalid type: {kind}")
    if "$ref" in schema:
        referred(schema, root)
    if "pattern" in schema:
        try:
            check_pattern(schema["pattern"])
        except PatternError as wrong:
            raise SchemaError(f'invalid regex "{schema["pattern"]}": {wrong}') from None
    for branch in schema.get("anyOf", ()) or schema.get("oneOf", ()):
        check_schema(branch, root, depth + 1)
    for inner in (*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()):
        check_schema(inner, root, depth + 1)
    for key in ("items", "additionalProperties"):
        check_schema(schema.get(key, True), root, depth + 1)


def referred(schema: Schema, root: Any) -> Any:
    """Return the part of `root` that the `$ref` of `schema` points to.

    Raises:
        SchemaError: there is no such part.
    """
    path = str(schema["$ref"])
    found = root
    for key in path.removeprefix("#").strip("/").split("/"):
        if not key:
            continue
        if not path.startswith("#") or not isinstance(found, Mapping) or key not in found:
            raise SchemaError(f"Pointer '{path}' does not exist")
        found = found[key]
    return found


def kind_of(schema: Schema) -> str:
    """Return the type of value that `schema` asks for, the first one if it allows several."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    if kind:
        return str(kind[0])
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "minItems" in schema:
        return "array"
    return "number" if {"minimum", "maximum"} & schema.keys() else "string"


def bounds_of(schema: Schema) -> tuple[float, float]:
    """Return the least and the greatest value; exclusive bounds of integers are stepped over."""
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    whole = kind_of(schema) == "integer" or "multipleOf" in schema
    if above is not None:
        low = max(low, math.floor(above) + 1 if whole else above)
    if below is not None:
        high = min(high, math.ceil(below) - 1 if whole else below)
    return low, high
