"""What a request holds its answer to: a JSON schema, a choice, a pattern."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from services.local.simulator.answers import Constraint
from services.local.simulator.fields import strings
from services.local.simulator.pattern import PatternError, check_pattern
from services.local.simulator.refusals import bad_request, grammar_error
from services.local.simulator.schema import SchemaError, check_schema

_ANY_OBJECT = Constraint(any_object=True)


def constraint_of(body: Mapping[str, Any]) -> Constraint | None:
    """Return what `response_format` or `structured_outputs` of a request asks for.

    Raises:
        Refusal: there is more than one constraint, or one that cannot be compiled.
    """
    asked = body.get("structured_outputs")
    if isinstance(asked, Mapping):
        kinds = [kind for kind in ("json", "regex", "choice") if asked.get(kind) is not None]
        if len(kinds) > 1:
            raise bad_request(
                "You can only use one kind of constraints for structured outputs "
                "('json', 'regex' or 'choice')."
            )
        if asked.get("json_object"):
            return _ANY_OBJECT
        if not kinds:
            raise bad_request(
                "You must use one kind of structured outputs constraint but none are specified: "
                f"{dict(asked)}"
            )
        if kinds == ["json"]:
            return _by_schema(asked["json"])
        return _by_pattern(asked["regex"]) if kinds == ["regex"] else _by_choice(asked)
    form = body.get("response_format")
    if not isinstance(form, Mapping) or form.get("type") in (None, "text"):
        return None
    if form["type"] == "json_object":
        return _ANY_OBJECT
    if form["type"] != "json_schema":
        raise bad_request(
            f"response_format of type {form['type']!r} is not simulated: "
            "use json_schema, json_object or text."
        )
    named = form.get("json_schema")
    if not isinstance(named, Mapping) or "schema" not in named:
        raise bad_request(
            "When response_format type is 'json_schema', the 'json_schema' field must be provided.",
            "response_format",
        )
    return _by_schema(named["schema"])


def _by_schema(schema: Any) -> Constraint:
    try:
        return _compiled(schema if isinstance(schema, str) else orjson.dumps(schema))
    except (orjson.JSONDecodeError, SchemaError) as wrong:
        raise grammar_error(str(wrong)) from None


@lru_cache(maxsize=256)
def _compiled(raw: str | bytes) -> Constraint:
    """Check a schema once for all its calls, as vLLM compiles one grammar for them."""
    schema = orjson.loads(raw)
    check_schema(schema)
    return Constraint(schema=schema)


def _by_pattern(pattern: Any) -> Constraint:
    try:
        check_pattern(str(pattern))
    except PatternError as wrong:
        raise grammar_error(
            f'at 1(8): invalid regex "{pattern}" (in regex): regex parse error:\n'
            f"    {pattern}\nerror: {wrong}"
        ) from None
    return Constraint(regex=str(pattern))


def _by_choice(asked: Mapping[str, Any]) -> Constraint:
    options = strings(asked, "choice")
    if not options:
        raise bad_request("Choice of structured outputs must not be empty.")
    return Constraint(choice=options)
