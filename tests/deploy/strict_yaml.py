"""YAML as the API server's decoder reads it."""

from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """No timestamps, `=` is a string, and a key that stands twice is an error."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key, _ in node.value:
        if key.tag == _MERGE:
            continue
        name = loader.construct_object(key, deep=True)
        if name in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicate key {name!r}", key.start_mark
            )
        seen.add(name)
    loader.flatten_mapping(node)
    built = loader.construct_object
    return {built(key, deep=True): built(value, deep=True) for key, value in node.value}


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_documents(text: str) -> list[Any]:
    """Return the documents of a stream, and the items of a `List` each as one.

    Raises:
        yaml.YAMLError: it is no YAML, or a key stands twice.
    """
    found: list[Any] = []
    for document in yaml.load_all(text, Loader=_Loader):
        if document is None:
            continue
        items = document.get("items") if isinstance(document, dict) else None
        if isinstance(items, list) and document.get("kind") == "List":
            found += items
        else:
            found.append(document)
    return found
