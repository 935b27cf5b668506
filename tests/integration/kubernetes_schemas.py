"""Schemas of custom resources, read as an API server reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def crd_schema(path: Path) -> dict[str, Any]:
    """Return the schema of the stored version of the CRD in a file."""
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    (stored,) = (each for each in definition["spec"]["versions"] if each["storage"])
    schema: dict[str, Any] = stored["schema"]["openAPIV3Schema"]
    return schema


def pruned(value: Any, schema: Mapping[str, Any], top: bool = True) -> Any:
    """Return a value without fields that its structural schema does not know."""
    if isinstance(value, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        known = schema.get("properties", {})
        rest = schema.get("additionalProperties")
        kept = {}
        for key, inner in value.items():
            if top and key in ("apiVersion", "kind", "metadata"):
                kept[key] = inner
            elif key in known:
                kept[key] = pruned(inner, known[key], False)
            elif rest is not None:
                kept[key] = pruned(inner, rest, False)
        return kept
    if isinstance(value, list) and "items" in schema:
        return [pruned(each, schema["items"], False) for each in value]
    return value


def defaulted(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value with the defaults of its structural schema where it says nothing."""
    if isinstance(value, dict):
        filled = dict(value)
        for key, inner in schema.get("properties", {}).items():
            if key not in filled and "default" in inner:
                filled[key] = inner["default"]
            elif key in filled:
                filled[key] = defaulted(filled[key], inner)
        return filled
    if isinstance(value, list) and "items" in schema:
        return [defaulted(each, schema["items"]) for each in value]
    return value
