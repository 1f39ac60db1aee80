"""Batches of pairs that depend on their place in the run and on nothing else, as `medmamba.nnunet.loop.stream` has it.

A pair is drawn, changed at random and resampled once: affine alignment, augmentation and deformation are one map.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from ...register import augment
from ..loop.stream import Phase, Share, as_arrays
from .cases import Case, Cases
from .options import Augmentation
from .pairing import Image, Pairing

Spacing = tuple[float, float, float]
_BOTH_WARPED = 0.5
"""Share of a deformation's largest strength at which two images of one case, aligned as they are, are validated."""


class PairBatches(Dataset[dict[str, Any]]):
    """Batches by (epoch, step).

    Parameters
    ----------
    cases: where images come from. names: which cases take part.
    size: voxels (X, Y, Z) of the network's grid. spacing: mm.
    augmentation: of training pairs. Validation pairs stay as they are, except that images of one case, which are
        aligned already, are moved apart, in the same way in every epoch.
    others: cases that validation may fall back upon. shared: as `PlacedLoader`.
    """

    def __init__(
        self,
        cases: Cases,
        names: Sequence[str],
        pairing: Pairing,
        size: tuple[int, int, int],
        spacing: Spacing,
        seed: int,
        phase: Phase,
        share: Share,
        augmentation: Augmentation,
        others: Sequence[str] = (),
        shared: bool = True,
    ) -> None:
        self._cases, self._names, self._pairing = cases, list(names), pairing
        self._size, self._spacing = size, spacing
        self._seed, self._phase, self._share = seed, phase, share
        self._augmentation, self._shared = augmentation, shared
        self._tested = pairing.tested(self._names, others)

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        """data (B, 4, X, Y, Z): fixed, moving, and of both where the image reaches (1) and where not (0).
        target (B, 2L, X, Y, Z): soft labels of the fixed, then of the moving image. keys: names of the pairs.

        DataError names a case that cannot be read.
        """
        samples = [self._sample(place, self._share.first + slot) for slot in range(self._share.size)]
        data, target, keys = zip(*samples, strict=True)
        batch = {"data": torch.stack(data), "target": torch.stack(target), "keys": list(keys)}
        return batch if self._shared else as_arrays(batch)

    def _sample(self, place: tuple[int, int], slot: int) -> tuple[Tensor, Tensor, str]:
        training = self._phase == Phase.TRAIN
        epoch, step = place if training else (0, place[1])  # the same pairs in every epoch
        draw = np.random.default_rng([self._seed, int(self._phase), epoch, step, slot])
        if training:
            pair = self._pairing.drawn(self._names, draw)
        else:
            pair = self._tested[(step * self._share.whole + slot) % len(self._tested)]
        between = self._cases.between(pair.fixed.case, pair.moving.case)
        together, apart, warp = self._geometry(draw, training, pair.fixed.case == pair.moving.case)
        fixed = self._resampled(draw, pair.fixed, together, None, training)
        moving = self._resampled(draw, pair.moving, apart @ between @ together, warp, training)
        images, inside, labels = (torch.cat(part) for part in zip(fixed, moving, strict=True))
        return torch.cat([images, inside]), labels, f"{pair.fixed.case} <- {pair.moving.case}"

    def _geometry(
        self, draw: np.random.Generator, training: bool, one_case: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Tensor | None]:
        """(both images' map, the moving one's own, its deformation or None)."""
        how = self._augmentation
        if training:
            share = how.apart
            together = augment.random_affine(draw, how.rotation, how.scale, how.shift)
        else:
            share, together = _BOTH_WARPED * how.apart * one_case, np.eye(4)
        apart = augment.random_affine(draw, share * how.rotation, share * how.scale, share * how.shift)
        longest = how.warp if training else _BOTH_WARPED * how.warp * one_case
        return together, apart, augment.random_field(draw, self._size, longest) if longest else None

    def _resampled(
        self, draw: np.random.Generator, image: Image, matrix: NDArray[np.float64], warp: Tensor | None, training: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Image and its reach, (1, *size) each, and labels (L, *size), sampled where `matrix` (mm about the middles)
        leads.
        """
        case = self._cases[image.case]
        values = case.images[image.channel]
        contrast = self._augmentation.contrast
        if training and contrast != "none":
            values = augment.remapped(values, augment.random_curve(draw, contrast == "mild"))
        stack = torch.stack([values, torch.ones_like(values), *(one.float() for one in self._masks(case))])
        sampled = sample(stack, matrix, self._size, self._spacing, warp)
        if training and self._augmentation.noise:
            sampled[:1] = augment.noisy(draw, sampled[:1], self._augmentation.noise)
        return sampled[:1], sampled[1:2], sampled[2:]

    def _masks(self, case: Case) -> list[Tensor]:
        return [case.labels == value for value in self._pairing.labels.values()]


def sample(
    image: Tensor,
    matrix: NDArray[np.float64],
    size: Sequence[int],
    spacing: Spacing,
    warp: Tensor | None = None,
) -> Tensor:
    """An image (C, *shape) on a grid of `size` voxels with the same spacing, linearly, zero outside.

    The voxel at p, in mm about the grid's middle, shows what the image has at ``matrix @ (p + warp(p))``, in mm about
    the image's own. warp: (1, 3, *size) in voxels.
    """
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in size]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    if warp is not None:
        points = points + warp[0]
    scale = np.diag([*spacing, 1.0])
    index = torch.from_numpy((np.linalg.inv(scale) @ matrix @ scale).astype(np.float32))
    points = torch.einsum("ij,jxyz->ixyz", index[:3, :3], points) + index[:3, 3].view(3, 1, 1, 1)
    shape = torch.tensor(image.shape[1:], dtype=torch.float32).view(3, 1, 1, 1)
    normal = (2 * points / shape).flip(0).permute(1, 2, 3, 0)  # the sampler's -1..1, last axis first
    return F.grid_sample(image[None], normal[None], padding_mode="zeros", align_corners=False)[0]
