"""What a registration network is trained for: the terms of a preset's losses added up; and what is measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...blocks.warp import integrate, warp
from ...register.deform.fields import folding_share
from ...register.similarity import BY_NAME, contrastive, diffusion, soft_dice
from .options import SIMILARITIES, Losses

_SMOOTH = 2.0
"""By which the authors multiply the smoothness term, for fields of half the size that they do not use."""

_NEIGHBOURS = 4
"""Voxels to each side that a similarity looks at: LNCC's window has 9."""
_KNOWN = 0.999
_RING = 4
"""Voxels around the labels in which the background is told from them."""


class Objective:
    """The loss of a batch.

    Parameters
    ----------
    losses: weights of the terms. network: whose options say what its outputs are.
    kept: how many labels there are in the targets.
    """

    def __init__(self, losses: Losses, network: Any, kept: int) -> None:
        self.losses = losses
        self.diffeomorphic = bool(network.diffeomorphic)
        self._symmetric = bool(network.symmetric)
        self._steps = int(network.integration_steps)
        self.similarities = {name: getattr(losses, name) for name in SIMILARITIES if getattr(losses, name)}
        features = network.feature_extractor is not None
        self._contrastive = losses.contrastive if features and kept else 0.0
        self._overlap = losses.dice if kept else 0.0

    @property
    def overlaps(self) -> bool:
        """Whether labels are aligned, and not the images alone."""
        return self._overlap > 0

    def __call__(self, outputs: Sequence[Tensor], data: Tensor, target: Tensor) -> Tensor:
        """The loss: `outputs` of the network for a batch of `PairBatches`, whose data and target the others are."""
        terms = self.terms(outputs, data, target)
        return torch.stack([self._weights()[name] * term for name, term in terms.items()]).sum()

    def _weights(self) -> Mapping[str, float]:
        own = {"dice": self._overlap, "contrastive": self._contrastive, "smooth": _SMOOTH * self.losses.smooth}
        return {**self.similarities, **own}

    def terms(self, outputs: Sequence[Tensor], data: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Each term that counts, by name, without its weight."""
        velocity = outputs[1]
        forth = outputs[2] if self.diffeomorphic else velocity
        ways = [(0, 1, forth)]
        if self._symmetric:
            ways.append((1, 0, integrate(-velocity, self._steps)))
        images, labels = data[:, :2].split(1, dim=1), target.chunk(2, dim=1)
        whole = [_shrunk(inside) for inside in data[:, 2:].split(1, dim=1)] if self.similarities else []
        found: dict[str, list[Tensor]] = {}
        for fixed, moving, displacement in ways:
            warped = self.warped(torch.cat([images[moving], labels[moving]], dim=1), displacement)
            mask = whole[fixed] * (warp(whole[moving], displacement.detach()) > _KNOWN) if whole else None
            for name in self.similarities:
                found.setdefault(name, []).append(_each(name, images[fixed], warped[:, :1], mask))
            if self._overlap:
                found.setdefault("dice", []).append(soft_dice(labels[fixed], warped[:, 1:]))
        terms = {name: torch.stack(ways_of).mean() for name, ways_of in found.items()}
        if self.losses.smooth:
            terms["smooth"] = diffusion(velocity)
        if self._contrastive:
            terms["contrastive"] = self._alike(outputs[-1], labels)
        return terms

    @property
    def compares(self) -> bool:
        """Whether labels shape the read-out features."""
        return self._contrastive > 0

    @staticmethod
    def warped(image: Tensor, displacement: Tensor) -> Tensor:
        """(B, C, *spatial) images or soft labels where the displacement (B, 3, *spatial) leads, linearly."""
        return warp(image, displacement)

    def _alike(self, features: Tensor, labels: Sequence[Tensor]) -> Tensor:
        """The contrastive term on read-out features, moving first."""
        if not self.losses.contrastive_background:
            fixed, moving = (label_map(one) for one in labels)
            return contrastive(features, moving, fixed, range(1, labels[0].shape[1] + 1))
        fixed, moving = (_near(one) for one in labels)
        return contrastive(features, moving, fixed, range(labels[0].shape[1] + 1))


def _shrunk(inside: Tensor) -> Tensor:
    """1 where an image reaches with all neighbours that a similarity looks at, else 0.

    Otherwise a network would learn to lay the edges of the fields of view on each other.
    """
    return (-_widest(-inside, _NEIGHBOURS) > _KNOWN).to(inside.dtype)


def _widest(image: Tensor, reach: int) -> Tensor:
    """The largest value within `reach` voxels along each axis: axis by axis, which compares far fewer voxels."""
    for axis in range(3):
        kernel, padding = [1] * 3, [0] * 3
        kernel[axis], padding[axis] = 2 * reach + 1, reach
        image = F.max_pool3d(image, kernel, 1, padding)
    return image


def _each(name: str, fixed: Tensor, warped: Tensor, mask: Tensor | None) -> Tensor:
    """A similarity's mean over the samples, each by its own mask, so that a batch may be shared by processes."""
    assert mask is not None, "there are similarities, so there are masks"
    pairs = zip(*(part.split(1) for part in (fixed, warped, mask)), strict=True)
    return torch.stack([BY_NAME[name](*pair) for pair in pairs]).mean()


def _near(soft: Tensor) -> Tensor:
    """`label_map` with -1 for what is far from every label: else nearly all voxels of the background would be that."""
    found = label_map(soft)
    return found.where(_widest((found > 0).float()[:, None], _RING)[:, 0] > 0, -1)


def label_map(soft: Tensor) -> Tensor:
    """(B, L, *spatial) soft labels without background -> (B, *spatial): 0 for the background, else 1 to L."""
    background = 1 - soft.sum(1, keepdim=True)
    return torch.cat([background, soft], dim=1).argmax(1)


def counts(fixed: Tensor, warped: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(L,) each: voxels of every label in both label maps, only in the warped one, only in the fixed one."""
    labels = fixed.shape[1]
    f, w = (F.one_hot(label_map(one), labels + 1)[..., 1:].flatten(0, -2) for one in (fixed, warped))
    both = (f * w).sum(0)
    return both, w.sum(0) - both, f.sum(0) - both


def field_figures(displacement: Tensor) -> dict[str, float]:
    """Of a batch's displacement (B, 3, *spatial): percentage of folded voxels, mean and largest length in voxels."""
    length = displacement.norm(dim=1)
    folded = [folding_share(one[None]) for one in displacement]
    return {
        "folding_percent": float(sum(folded)) / len(folded),
        "mean_displacement": float(length.mean()),
        "largest_displacement": float(length.max()),
    }
