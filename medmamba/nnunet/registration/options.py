"""What a preset says of training a registration network, beside its optimiser and schedule."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SIMILARITIES = ("lncc", "mse", "nmi", "mind")
"""Of `medmamba.register.similarity.BY_NAME`; named here because presets are read without torch."""


class Losses(BaseModel):
    """Weights of the terms that are added up; 0 leaves a term out. The defaults are MambaMorph's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dice: float = Field(1.0, ge=0)
    """Overlap of the warped labels with the fixed ones; needs labels."""
    lncc: float = Field(0.0, ge=0)
    mse: float = Field(0.0, ge=0)
    nmi: float = Field(0.0, ge=0)
    mind: float = Field(0.0, ge=0)
    smooth: float = Field(0.1, ge=0)
    """Of twice the mean squared difference of neighbouring velocities, as the authors have it."""
    contrastive: float = Field(0.0, ge=0)
    """Features of one label alike in both images; needs labels and a network with an extractor."""
    contrastive_background: bool = False
    """Whether the background is a label of its own in the contrastive term. The authors leave it out."""

    @property
    def needs_labels(self) -> bool:
        """Whether nothing aligns the images but their labels."""
        return not any(getattr(self, name) for name in SIMILARITIES)


class Augmentation(BaseModel):
    """How strongly pairs are changed at random; 0 leaves a change out. The defaults are the authors': none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: float = Field(0.0, ge=0, le=180)
    """Degrees about each axis at most, of both images together."""
    scale: float = Field(0.0, ge=0, lt=1)
    """Stretching of each axis by 1 - scale to 1 + scale, of both images together."""
    shift: float = Field(0.0, ge=0)
    """mm along each axis at most, of both images together."""
    apart: float = Field(0.0, ge=0, le=1)
    """Share of the three with which the moving image is moved on its own besides."""
    warp: float = Field(0.0, ge=0)
    """Longest velocity of a smooth random field that deforms the moving image, in voxels."""
    contrast: Literal["none", "mild", "remap"] = "none"
    """"mild": brightness curves that rise; "remap": any smooth curve, drawn for each image, so that a network learns to
    register across modalities (after SynthMorph, Hoffmann et al. 2022)."""
    noise: float = Field(0.0, ge=0)
    """Largest standard deviation of white noise, in images of 0..1."""


class RegistrationRecipe(BaseModel):
    """How a registration network is trained and used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    losses: Losses = Losses.model_validate({})
    augmentation: Augmentation = Augmentation.model_validate({})
    align: bool = True
    """Bring cases of different people together by an affine map first, as `medmamba register` does before a network."""
    passes: int = Field(1, ge=1, le=8)
    """How often the network is run in use, each time on what the runs before have warped."""
    smoothing: float = Field(0.0, ge=0, le=10)
    """Standard deviation, in voxels, of a Gaussian over the velocity of each run in use, as log-domain demons have it
    (Vercauteren et al. 2008): what moves single voxels alone is noise."""
