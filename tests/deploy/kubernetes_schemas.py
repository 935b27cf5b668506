"""The schemas of Kubernetes kinds, and what they find wrong in an object.

Those of core kinds are in the package `kubernetes-validate`. Those of custom kinds are upstream's
and not here: files `{kind}_{group}_{version}.json` of a folder that is given.
"""

import copy
import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_LONGEST_MESSAGE = 400


class Schemas:
    """The kinds that one version of Kubernetes knows, and custom ones."""

    def __init__(self, version: str, custom: Sequence[Path] = ()) -> None:
        """Set up.

        Args:
            version: of Kubernetes, as "1.33".
            custom: folders with the schemas of custom kinds.

        Raises:
            LookupError: the package has not this version.
        """
        base = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
        found = sorted(base.glob(f"v{version.lstrip('v')}.*-local-strict"))
        if not found:
            known = ", ".join(sorted(path.name for path in base.glob("v*-local-strict")))
            raise LookupError(f"no schemas of Kubernetes {version}; there are {known}")
        self._core = found[0]
        self._custom = tuple(custom)
        self._known: dict[tuple[str, str], tuple[Any, bool] | None] = {}
        self._checked: dict[str, list[tuple[str, str]]] = {}

    def find(self, api_version: str, kind: str) -> tuple[Any, bool] | None:
        """Return the validator of a kind and whether it is a custom one; None if it is unknown."""
        key = (api_version, kind)
        if key not in self._known:
            self._known[key] = self._read(api_version, kind)
        return self._known[key]

    def errors(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        """Return path and message of each error; none of a kind that is unknown."""
        # A custom kind takes a tenth of a second, and most objects are the same in many cases.
        key = repr(document)
        if key not in self._checked:
            self._checked[key] = list(self._errors(document))
        return self._checked[key]

    def _errors(self, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
        found = self.find(document["apiVersion"], document["kind"])
        if found is None:
            return
        validator, custom = found
        seen = _admitted(validator.schema, document) if custom else document
        errors = list(validator.iter_errors(seen))
        if custom:
            # Schemas of custom kinds say only that metadata is an object.
            for error in self._metadata.iter_errors(document["metadata"]):
                error.path.appendleft("metadata")
                errors.append(error)
        for error in sorted(map(_telling, errors), key=_where):
            text = error.message
            if len(text) > _LONGEST_MESSAGE:
                text = f"{text[:180]} ... {text[-200:]}"
            yield _where(error), text

    def _read(self, api_version: str, kind: str) -> tuple[Any, bool] | None:
        group, _, version = api_version.rpartition("/")
        for folder in self._custom:
            path = folder / f"{kind}_{group}_{version}.json".lower()
            if group and path.exists():
                return jsonschema.Draft7Validator(json.loads(path.read_text())), True
        # Core files are named by the first label of the group only, so that another group could hit
        # one: only groups that the core API has are looked up.
        if "." in group and not group.endswith(".k8s.io"):
            return None
        stem = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
        path = self._core / f"{kind.lower()}-{stem}.json"
        if not path.exists():
            return None
        schema = json.loads(path.read_text())
        if "apiVersion" not in schema.get("properties", {}):  # a part, such as PodSpec
            return None
        return jsonschema.Draft202012Validator(schema, registry=self._registry), False

    @functools.cached_property
    def _registry(self) -> Any:
        content = json.loads((self._core / "_definitions.json").read_text())
        resource = Resource.from_contents(content, default_specification=DRAFT202012)
        return Registry().with_resources([("_definitions.json", resource)])

    @functools.cached_property
    def _metadata(self) -> Any:
        schema = json.loads((self._core / "objectmeta-meta-v1.json").read_text())
        return jsonschema.Draft202012Validator(schema, registry=self._registry)


def _admitted(schema: dict[str, Any], value: Any) -> Any:
    """Return a custom object as the API server validates it: nulls pruned, defaults filled in."""
    if isinstance(value, list):
        return [_admitted(schema.get("items") or {}, each) for each in value]
    if not isinstance(value, dict):
        return value
    properties, rest = schema.get("properties", {}), schema.get("additionalProperties")
    seen = {}
    for key, each in value.items():
        part = properties.get(key, rest if isinstance(rest, dict) else {})
        types = part.get("type")
        if each is None and types and "null" not in ([types] if isinstance(types, str) else types):
            continue
        seen[key] = _admitted(part, each)
    for key, part in properties.items():
        if key not in seen and "default" in part:
            seen[key] = copy.deepcopy(part["default"])
    return seen


def _telling(error: ValidationError) -> ValidationError:
    """Return the most telling leaf of an error of alternatives, else the error itself."""
    if error.validator in ("anyOf", "oneOf") and error.context:
        best: ValidationError | None = best_match([error])
        if best is not None and best.absolute_path != error.absolute_path:
            return best
    return error


def _where(error: ValidationError) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else str(part) for part in error.absolute_path)
    return ".".join(parts).replace(".[", "[")
