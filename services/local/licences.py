"""Licences of the models that come with the platform."""

from services.local.model import LocalModel
from services.local.weights import weights_licence


def built_in_licences() -> dict[str, str]:
    """Return them by the names of the models, as far as their packages state them."""
    licence = weights_licence()
    return {LocalModel.name: licence} if licence else {}
