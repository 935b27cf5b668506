"""JSON values that conform to a JSON schema and say something about the prompt."""

import json
import math
from collections.abc import Mapping
from typing import Any

from services.local.simulator.pattern import matching_text
from services.local.simulator.schema import (
    DEEPEST,
    Schema,
    SchemaError,
    bounds_of,
    kind_of,
    referred,
)
from services.local.simulator.writer import Writer

_OPTIONAL_SHARE = 0.7
"""Share of the properties that need not be there which are there all the same."""
_FEW_ITEMS = 4
"""How many items more than it must an array without `maxItems` has at most."""
_FIXED = frozenset(("enum", "const", "anyOf", "oneOf", "$ref", "pattern"))


def conforming(schema: Any, writer: Writer, name: str = "") -> Any:
    """Return a JSON value that conforms to `schema`, said by `writer`; `name` is its property.

    Raises:
        SchemaError: no value was found; the schema may allow none.
    """
    return _Conforming(schema, writer).value(schema, name, 0)


class _Conforming:
    def __init__(self, root: Any, writer: Writer) -> None:
        self._root = root
        self._writer = writer
        self._random = writer.random

    def value(self, schema: Any, name: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise SchemaError(f"values nest deeper than {DEEPEST}")
        if schema is False:
            raise SchemaError("Unsatisfiable schema: false")
        if schema is True:
            return self._writer.text(0, None)
        if "$ref" in schema:
            return self.value(referred(schema, self._root), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._writer.option(schema["enum"])
        branches = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            # Deep down the last branch, in which a schema that refers to itself tends to end.
            return self.value(branches[0 if depth < 8 else -1], name, depth + 1)
        kind = kind_of(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind == "string":
            return self._string(schema)
        if kind == "integer":
            return self._integer(schema)
        if kind == "number":
            return self._number(schema)
        return self._writer.truth(name) if kind == "boolean" else None

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = schema.get("required", ())
        # Deep down only what must be there, so that a schema which refers to itself comes to an end
        share = _OPTIONAL_SHARE if depth < 4 else 0.0
        value = {
            name: self.value(inner, name, depth + 1)
            for name, inner in properties.items()
            if name in required or self._random.random() < share
        }
        others = schema.get("additionalProperties", True)
        for name in required:
            if name not in properties:
                value[name] = self.value(others, name, depth + 1)
        return value

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        least = schema.get("minItems", 0)
        bounded = "maxItems" in schema
        most = schema["maxItems"] if bounded else least + (_FEW_ITEMS if depth < 6 else 0)
        if most < least:
            raise SchemaError(f"Unsatisfiable schema: minItems {least} > maxItems {most}")
        items = schema.get("items", True)
        if isinstance(items, Mapping) and "$ref" in items:
            items = referred(items, self._root)
        values: list[Any] = []
        wanted = least
        if self._asks_for_listed(items, name):
            values += self._listed(items, name, least, most if bounded else None)
        else:
            # Two at least, where it may: an empty list is seldom what was asked for.
            wanted = self._random.randint(max(least, min(2, most)), most)
        distinct = schema.get("uniqueItems", False)
        tries = 60 * wanted + 200
        while len(values) < wanted and tries:
            tries -= 1
            value = self.value(items, name, depth + 1)
            if distinct and _among(value, values):
                value = self._variation(items, value)
            if not (distinct and _among(value, values)):
                values.append(value)
        if len(values) < least:
            raise SchemaError(f"Unsatisfiable schema: {least} distinct items not found")
        return values

    def _asks_for_listed(self, items: Any, name: str) -> bool:
        """Whether whole numbers are asked for, and the prompt has a numbered list."""
        if not isinstance(items, Mapping) or (_FIXED - {"enum"}) & items.keys():
            return False
        return kind_of(items) == "integer" and bool(self._writer.listed(name))

    def _listed(self, items: Schema, name: str, least: int, most: int | None) -> list[int]:
        low, high = bounds_of(items)
        step, options = items.get("multipleOf", 1), items.get("enum")

        def allowed(numbers: list[int]) -> list[int]:
            return [
                number
                for number in numbers
                if low <= number <= high
                and number % step == 0
                and (options is None or number in options)
            ]

        chosen = allowed(self._writer.chosen(name))
        if most is not None and len(chosen) > most:
            return sorted(self._random.sample(chosen, most))
        if len(chosen) < least:
            others = [
                number for number in allowed(self._writer.listed(name)) if number not in chosen
            ]
            short = min(least - len(chosen), len(others))
            chosen = sorted(chosen + self._random.sample(others, short))
        return chosen

    def _variation(self, items: Any, value: Any) -> Any:
        """Letters instead of words, where distinct texts are so short that words run out."""
        if not isinstance(value, str) or not isinstance(items, Mapping) or _FIXED & items.keys():
            return value
        most = items.get("maxLength", len(value))
        return self._writer.letters(items.get("minLength", 0), most)

    def _string(self, schema: Schema) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        if most is not None and most < least:
            raise SchemaError(f"Unsatisfiable schema: minLength {least} > maxLength {most}")
        if "pattern" not in schema:
            return self._writer.text(least, most)
        for _ in range(200):
            text = matching_text(schema["pattern"], self._random)
            if least <= len(text) <= (len(text) if most is None else most):
                return text
        raise SchemaError(f"Unsatisfiable schema: no {least} to {most} characters match pattern")

    def _integer(self, schema: Schema) -> int:
        low, high = bounds_of(schema)
        step = schema.get("multipleOf", 1)
        low, high = _reach(low, high, 100 * step)
        first, last = math.ceil(low / step), math.floor(high / step)
        if first > last:
            raise SchemaError(f"Unsatisfiable schema: no integer from {low} to {high}")
        return self._random.randint(first, last) * int(step)

    def _number(self, schema: Schema) -> float:
        if "multipleOf" in schema:
            return self._integer(schema)
        low, high = _reach(*bounds_of(schema), 10.0)
        excluded = (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
        for _ in range(100):
            drawn = self._random.uniform(low, high)
            rounded = round(drawn, 2)
            for value in (rounded if low <= rounded <= high else drawn, drawn):
                if value not in excluded and low <= value <= high:
                    return value
        raise SchemaError(f"Unsatisfiable schema: no number from {low} to {high}")


def _reach(low: float, high: float, width: float) -> tuple[float, float]:
    """Make an open interval finite: `width` from the bound that is there, or from 0."""
    if low == -math.inf:
        low = 0 if high >= 0 else high - width
    return (low, low + width) if high == math.inf else (low, high)


def _among(value: Any, values: list[Any]) -> bool:
    written = json.dumps(value, sort_keys=True)
    return any(json.dumps(other, sort_keys=True) == written for other in values)
