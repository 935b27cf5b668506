"""Deterministic ids: the same cause has the same id, however often it is handled."""

import uuid

_NAMESPACE = uuid.UUID("5f0c2a52-5d3c-5c0f-9a55-6d6174726978")


def derived_id(kind: str, *causes: object) -> str:
    """Return the UUIDv5 of what caused something, such as `("action", group, step, agent)`."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join([kind, *map(str, causes)])))


def derived_seed(*causes: object) -> int:
    """Return a 63-bit seed for choices that must come out the same when they are made again."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join(["seed", *map(str, causes)])).int >> 65
