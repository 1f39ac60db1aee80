"""What a deformation is judged by on one level: similarity, labels, points, features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...blocks.warp import warp
from ..similarity import BY_NAME, lncc, mind_ssc, mse, soft_dice
from .fields import sample
from .sides import Settings, Sides

MIND_RADIUS, MIND_DILATION = 1, 2
WINDOW = 7
"""Of LNCC, voxels of the level."""


@dataclass(frozen=True, eq=False)
class Side:
    """One image, or what describes it, and what goes with it: all warped by the same field."""

    image: Tensor
    mask: Tensor | None
    labels: Tensor | None
    points: Tensor | None
    features: Tensor | None

    def warped(self, field: Tensor | None) -> "Side":
        """The side read through a field; its points stay. Outside the image nothing counts."""
        if field is None:
            return self
        parts = [part for part in (self.image, self.labels, self.features) if part is not None]
        together = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        read = iter(sample(together, field).split([part.shape[1] for part in parts], dim=1))
        image = next(read)
        labels, features = (None if part is None else next(read) for part in (self.labels, self.features))
        mask = torch.ones_like(self.image[:, :1]) if self.mask is None else self.mask
        whole = (warp(mask, field.detach()) > 0.99).to(mask.dtype)  # nothing of what is masked out may bleed in
        return Side(image, whole, labels, self.points, features)


def both(sides: Sides, similarity: str) -> tuple[Side, Side]:
    """The fixed and the moving side. MIND's descriptors are computed here, once, and warped as an image is."""

    def image(image: Tensor) -> Tensor:
        return mind_ssc(image, MIND_RADIUS, MIND_DILATION) if similarity == "mind" else image

    fixed = Side(image(sides.fixed), sides.fixed_mask, sides.fixed_labels, sides.fixed_points, sides.fixed_features)
    moving = Side(
        image(sides.moving), sides.moving_mask, sides.moving_labels, sides.moving_points, sides.moving_features
    )
    return fixed, moving


def _similarity(name: str) -> Callable[..., Tensor]:
    if name == "lncc":
        return lambda fixed, moving, mask: lncc(fixed, moving, mask, window=WINDOW)
    return mse if name == "mind" else BY_NAME[name]


def _at(field: Tensor | None, points: Tensor) -> Tensor:
    """Where points (N, 3) in voxels go by the field."""
    if field is None:
        return points
    size = points.new_tensor(field.shape[2:])
    grid = ((2 * points + 1) / size - 1).flip(-1).view(1, -1, 1, 1, 3)
    moved = torch.nn.functional.grid_sample(field, grid, padding_mode="border", align_corners=False)
    return points + moved[0, :, :, 0, 0].T


def judge(sides: tuple[Side, Side], fields: tuple[Tensor | None, Tensor], settings: Settings) -> Tensor:
    """The loss of a pair of which each side is read through its field (None: as it is), points and smoothness apart."""
    fixed, moving = (side.warped(field) for side, field in zip(sides, fields, strict=True))
    mask = moving.mask if fixed.mask is None else fixed.mask if moving.mask is None else fixed.mask * moving.mask
    loss = _similarity(settings.similarity)(fixed.image, moving.image, mask)
    if fixed.labels is not None and moving.labels is not None:
        loss = loss + settings.label_weight * (1 + soft_dice(fixed.labels, moving.labels))
    if fixed.features is not None and moving.features is not None:
        loss = loss + settings.feature_weight * mse(fixed.features, moving.features, mask)
    return loss


def distance(sides: tuple[Side, Side], fields: tuple[Tensor | None, Tensor | None], spacing: Sequence[float]) -> Tensor:
    """Mean squared distance (mm^2) of the landmarks, each side's sent through its field.

    Points go where images come from: with a moving image read through phi, the fixed points are what phi moves.
    """
    fixed, moving = (None if s.points is None else _at(f, s.points) for s, f in zip(sides, fields, strict=True))
    if fixed is None or moving is None or not len(fixed):
        return sides[0].image.new_zeros(())
    return (((fixed - moving) * fixed.new_tensor(tuple(spacing))) ** 2).sum(1).mean()
