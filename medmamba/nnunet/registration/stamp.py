"""What a trained registration network needs to be used: noted in its plans, and from there in a bundle."""

from collections.abc import Mapping
from typing import Any

from .cases import modality_of
from .options import RegistrationRecipe
from .pairing import Pairing
from .space import space_of

KEY = "registration"
"""Of the plans' stamp of ours."""

Triple = tuple[float, float, float]


def grid_of(
    plans: Mapping[str, Any], configuration: Mapping[str, Any], properties: Mapping[str, Any]
) -> tuple[tuple[int, int, int], Triple]:
    """Voxels and mm of the network's grid along X, Y and Z, from the plan's axes and one case's `properties`."""
    space = space_of(plans, properties)
    x, y, z = space.along(configuration["patch_size"])
    return (round(x), round(y), round(z)), space.along(configuration["spacing"])


def of(
    pairing: Pairing,
    recipe: RegistrationRecipe,
    features: bool,
    configuration: Mapping[str, Any],
    size: tuple[int, int, int],
    spacing: Triple,
) -> dict[str, Any]:
    """The note: plain values only."""
    schemes = configuration["normalization_schemes"]
    return {
        "spacing": list(spacing),
        "size": list(size),
        "modalities": [modality_of(schemes[channel]) for channel in (pairing.fixed_channel, pairing.moving_channel)],
        "passes": recipe.passes,
        "smoothing": recipe.smoothing,
        "features": features,
        "labels": dict(pairing.labels),
    }
