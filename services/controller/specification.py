"""From the spec of a `Dataset` object to the order that it stands for."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from google.protobuf.json_format import ParseDict, ParseError
from matrix.instruction_generation.v1.service_pb2 import CreateDatasetRequest

from services.runtime.errors import Rejected

DeletionPolicy = Literal["Pause", "Retain", "Cancel"]
OWN_FIELDS = frozenset({"paused", "deletionPolicy"})
"""Fields of the spec that are not CreateDataset's."""


def ordered(name: str, spec: Mapping[str, Any]) -> CreateDatasetRequest:
    """Return the order of an object.

    Args:
        name: of the object, and so of the dataset.
        spec: of the object, in the JSON names of the message.

    Raises:
        Rejected: a field is unknown or of another type, which the schema of the CRD lets through
            only where it is older or newer than this controller.
    """
    fields = {key: value for key, value in spec.items() if key not in OWN_FIELDS}
    if "name" in fields:
        raise Rejected("spec.name is no field: the name of the object is the name of the dataset")
    try:
        return ParseDict({**fields, "name": name}, CreateDatasetRequest())
    except ParseError as error:
        raise Rejected(
            f"spec: {error}: is the CRD of the same version as the controller?"
        ) from None


def wants_pause(spec: Mapping[str, Any]) -> bool:
    """Return whether nothing is to be made for the dataset for now."""
    return bool(spec.get("paused", False))


def deletion_policy(spec: Mapping[str, Any]) -> DeletionPolicy:
    """Return what becomes of the order when its object is deleted.

    Raises:
        Rejected: the spec names a policy that there is not.
    """
    policy = spec.get("deletionPolicy", "Pause")
    if policy not in get_args(DeletionPolicy):
        known = ", ".join(get_args(DeletionPolicy))
        raise Rejected(f"spec.deletionPolicy is {policy!r}: give one of {known}")
    return policy  # type: ignore[no-any-return]
