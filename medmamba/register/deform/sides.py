"""What is deformed onto what, and how: the pair on its work grid, the settings, and what comes out."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sides:
    """One pair on one work grid. The moving side is already resampled onto it by the affine."""

    fixed: Tensor
    moving: Tensor
    """(1, 1, X, Y, Z) float32 in 0..1."""
    spacing: tuple[float, float, float]
    """Of the work grid, mm, in the order of the array's axes."""
    fixed_mask: Tensor | None = None
    moving_mask: Tensor | None = None
    """(1, 1, X, Y, Z) in {0, 1}: the voxels that count, each on its own side (not those outside an image, say)."""
    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None
    """(1, L, X, Y, Z) soft one-hot, without the background."""
    fixed_points: Tensor | None = None
    moving_points: Tensor | None = None
    """(N, 3) in voxels of the work grid, the same landmark in the same row."""
    fixed_features: Tensor | None = None
    moving_features: Tensor | None = None
    """(1, C, X, Y, Z) learnt features, compared by their mean squared difference."""


@dataclass(frozen=True)
class Settings:
    """How to deform. What is None is chosen for the similarity."""

    similarity: str = "lncc"
    """A name of `medmamba.register.similarity.BY_NAME`."""
    also: tuple[str, ...] | None = None
    """Similarities whose own solutions are averaged with it; None: MIND with LNCC where there
    are not very many voxels, LNCC with MIND, else nothing."""
    reg_weight: float | None = None
    """How smooth the field must be: weight of the diffusion of the velocity (or displacement). Those of `also`
    change in proportion."""
    iterations: int = 50
    """Of the instance optimisation, on each level; on levels of very many voxels a fifth of them."""
    diffeomorphic: bool = True
    """Optimise a stationary velocity, whose map can be inverted; else the displacement itself."""
    symmetric: bool = True
    """Judge both directions, so that swapping fixed and moving gives about the inverse."""
    label_weight: float = 1.0
    point_weight: float = 0.1
    feature_weight: float = 12.0
    """Weights of labels (soft Dice), points (mean squared distance, mm) and features, where the sides have them."""
    max_displacement_mm: float | None = None
    """No voxel moves further than this."""
    max_folding: float = 0.0
    """Highest share of folded voxels in the mask, percent; above it the field is made smoother."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Deformation:
    """The field found, its inverse, and how it was found."""

    displacement: Tensor
    inverse: Tensor
    """(1, 3, X, Y, Z) float32 in voxels of the work grid: fixed to moving, and back."""
    velocity: Tensor | None = None
    """Stationary velocity whose exponential is the displacement; None where there is none."""
    losses: list[list[float]] = field(default_factory=list)
    """The loss of each iteration, level by level, coarse to fine."""
    warnings: tuple[str, ...] = ()
    inverse_residual_mm: tuple[float, float] = (0.0, 0.0)
    """Mean and 95th percentile of |phi(phi^-1(x)) - x|."""
    folding: float = 0.0
    """Share of folded voxels in the mask, percent."""
