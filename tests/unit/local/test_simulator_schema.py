"""Structured answers: every value conforms to its schema, and bad schemas are named."""

import json
import re
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.local.simulator.conforming import conforming
from services.local.simulator.pattern import PatternError, matching_text
from services.local.simulator.prompt import read_prompt
from services.local.simulator.schema import SchemaError, check_schema
from services.local.simulator.writer import Writer

PROMPT = """Who can be aware of it?
<action>I call the vaccine supplier.</action>
<people>
1. A nurse of the ward
2. A supplier of vaccine
4. A baker
</people>"""

KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}


def violations(value: Any, schema: Mapping[str, Any], at: str = "$") -> list[str]:
    """What of `value` offends `schema`: a reading of JSON Schema apart from the simulator's own."""
    if "anyOf" in schema:
        found = [violations(value, branch, at) for branch in schema["anyOf"]]
        return [] if any(not branch for branch in found) else found[0]
    wrong = []
    if "const" in schema and value != schema["const"]:
        wrong.append(f"{at}: not the constant")
    if "enum" in schema and value not in schema["enum"]:
        wrong.append(f"{at}: not in enum")
    kind = schema.get("type")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in KINDS and not isinstance(value, KINDS[kind]):
        return [f"{at}: {value!r} is no {kind}"]
    if kind == "integer" and not (number and value == int(value)):
        return [f"{at}: {value!r} is no integer"]
    if kind == "number" and not number:
        return [f"{at}: {value!r} is no number"]
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9):
            wrong.append(f"{at}: {len(value)} characters")
        if "pattern" in schema and re.search(schema["pattern"], value) is None:
            wrong.append(f"{at}: does not match")
    if number:
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            wrong.append(f"{at}: {value} is out of range")
        if value <= schema.get("exclusiveMinimum", value - 1):
            wrong.append(f"{at}: {value} is too small")
        if value >= schema.get("exclusiveMaximum", value + 1):
            wrong.append(f"{at}: {value} is too great")
        if value % schema.get("multipleOf", 1 if kind == "integer" else value or 1) != 0:
            wrong.append(f"{at}: {value} is no multiple")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9):
            wrong.append(f"{at}: {len(value)} items")
        if schema.get("uniqueItems") and len({json.dumps(v) for v in value}) < len(value):
            wrong.append(f"{at}: items repeat")
        for place, item in enumerate(value):
            wrong += violations(item, schema.get("items", {}), f"{at}[{place}]")
    if isinstance(value, dict):
        wrong += [f"{at}: no {name}" for name in schema.get("required", ()) if name not in value]
        for name, inner in value.items():
            if name in schema.get("properties", {}):
                wrong += violations(inner, schema["properties"][name], f"{at}.{name}")
            elif schema.get("additionalProperties") is False:
                wrong.append(f"{at}: {name} is not allowed")
    return wrong


def ordered(low: str, high: str, most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Bounds of which each may be missing, and that leave room between them."""

    def named(bounds: tuple[int, int, int]) -> dict[str, Any]:
        least, room, which = bounds
        both = {low: least, high: least + room}
        return {key: both[key] for key, bit in ((low, 1), (high, 2)) if which & bit}

    return st.tuples(st.integers(0, most), st.integers(0, most), st.integers(0, 3)).map(named)


STRINGS = ordered("minLength", "maxLength", 120).map(lambda b: {"type": "string", **b})
NUMBERS = st.one_of(
    st.tuples(st.sampled_from(["integer", "number"]), ordered("minimum", "maximum", 1000)).map(
        lambda pair: {"type": pair[0], **pair[1]}
    ),
    ordered("exclusiveMinimum", "exclusiveMaximum", 50)
    .filter(lambda b: len(b) < 2 or b["exclusiveMaximum"] - b["exclusiveMinimum"] > 1)
    .map(lambda b: {"type": "integer", **b}),
    st.integers(1, 9).map(lambda step: {"type": "integer", "multipleOf": step}),
)
LEAVES = st.one_of(
    STRINGS,
    NUMBERS,
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.lists(st.text(max_size=5), min_size=1, unique=True).map(
        lambda options: {"type": "string", "enum": options}
    ),
    st.sampled_from([None, 3, "x", [1], {"a": True}]).map(lambda value: {"const": value}),
    st.sampled_from([r"^[A-Z]{3}-\d{2,4}$", r"(yes|no)", r"[^aeiou\s]+x?"]).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
)


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    arrays = st.tuples(inner, ordered("minItems", "maxItems", 4)).map(
        lambda pair: {"type": "array", "items": pair[0], **pair[1]}
    )
    objects = st.tuples(
        st.dictionaries(st.text(max_size=4), inner, max_size=4), st.booleans(), st.booleans()
    ).map(
        lambda made: {
            "type": "object",
            "properties": made[0],
            "additionalProperties": made[1],
            "required": sorted(made[0]) if made[2] else sorted(made[0])[:1],
        }
    )
    branches = st.lists(inner, min_size=1, max_size=2).map(lambda found: {"anyOf": found})
    return st.one_of(arrays, objects, branches)


SCHEMAS = st.recursive(LEAVES, nested, max_leaves=8)


def said(schema: Any, seed: int = 0, prompt: str = PROMPT, stray: float = 0.0) -> Any:
    check_schema(schema)
    writer = Writer(read_prompt([("user", prompt)]), Random(seed), stray)
    return json.loads(json.dumps(conforming(schema, writer)))


@settings(max_examples=150)
@given(SCHEMAS, st.integers(0, 2**32), st.sampled_from([PROMPT, "Name three colours.", ""]))
def test_values_conform_to_their_schema(schema: dict[str, Any], seed: int, prompt: str) -> None:
    assert violations(said(schema, seed, prompt), schema) == []


@given(st.integers(0, 5), st.integers(0, 2**32), st.integers(0, 3))
def test_items_are_distinct_where_asked(least: int, seed: int, characters: int) -> None:
    for items in (
        {"type": "string", "minLength": 1, "maxLength": characters + 1},
        {"type": "integer", "minimum": 1, "maximum": least + 1},
        {"type": "string", "enum": list("abcdef")},
    ):
        schema = {"type": "array", "items": items, "uniqueItems": True, "minItems": least}
        assert violations(said(schema, seed, "Colours"), schema) == []


def test_distinct_texts_too_short_for_words_are_letters() -> None:
    items = {"type": "string", "minLength": 1, "maxLength": 1}
    schema = {"type": "array", "items": items, "uniqueItems": True, "minItems": 24}
    assert violations(said(schema), schema) == []


def test_a_text_of_exact_length() -> None:
    for length in range(0, 130, 13):
        schema = {"type": "string", "minLength": length, "maxLength": length}
        assert len(said(schema, length)) == length


def test_optional_properties_come_and_go() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}}
    seen = {tuple(said(schema, seed)) for seed in range(60)}
    assert seen == {(), ("a",), ("b",), ("a", "b")}


def test_references_into_definitions_are_followed() -> None:
    schema = {
        "$defs": {"Step": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Step"}}}},
        "type": "array",
        "items": {"$ref": "#/$defs/Step"},
        "minItems": 2,
    }
    value = said(schema)
    assert len(value) >= 2
    assert all(isinstance(item, dict) for item in value)


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "nonsense"}, "Invalid type: nonsense"),
        ({"type": "array", "items": {"type": "int"}}, "Invalid type: int"),
        ({"type": "string", "pattern": "(["}, "invalid regex"),
        ({"allOf": [{}]}, 'Unimplemented keys: ["allOf"]'),
        ({"$ref": "#/$defs/Gone"}, "'#/$defs/Gone' does not exist"),
        ({"properties": 3}, "Invalid value for properties: 3"),
        ({"enum": []}, "Unsatisfiable"),
        (7, "must be an object"),
    ],
)
def test_bad_schemas_are_refused_by_name(schema: Any, named: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(named)):
        check_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "array", "items": {"enum": [1]}, "minItems": 2, "uniqueItems": True},
        {"type": "object", "required": ["a"], "additionalProperties": False},
    ],
)
def test_schemas_that_nothing_meets_are_refused(schema: Any) -> None:
    with pytest.raises(SchemaError, match="Unsatisfiable"):
        said(schema)


@given(
    st.sampled_from(
        [
            r"[0-9]{3}",
            r"\w+@\w+\.(com|org)",
            r"(?:ab|c)*d?",
            r"[]x-]+",
            r"a{2,}b{,2}",
            r"\$\d+\.\d\d",
            r"^[^\d\s]{4}$",
            r".{0,9}",
        ]
    ),
    st.integers(),
)
def test_texts_match_their_pattern(pattern: str, seed: int) -> None:
    assert re.fullmatch(pattern, matching_text(pattern, Random(seed)))


@pytest.mark.parametrize("pattern", ["([", r"(?=a)b", r"(a)\1", r"\bword", "a$b"])
def test_patterns_beyond_understanding_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        matching_text(pattern, Random(0))
