"""The patch sizes that a plan may choose from, large to small, each with the U-Net topology that nnU-Net gives it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

from ...networks import fit_patch, info
from ..plans import divisor

Candidate = tuple[tuple[int, ...], dict[str, Any]]
"""Patch size and U-Net arguments."""
_LARGEST = {2: 2048**2, 3: 256**3}
"""Voxels of nnU-Net's first proposal, which is then cut to the images."""
_EDGE = 4
"""Voxels that nnU-Net leaves of each axis in the deepest map."""
_SMALLEST = {2: 64, 3: 32}
"""Below this an axis is not cut: a network sees too little then."""
_MOST_FEATURES = {2: 512, 3: 320}
_FRAMES = 5
_FRAME_DIVISOR = 32


def candidates(
    network: str,
    config: Mapping[str, Any],
    unet: Mapping[str, Any],
    spacing: Sequence[float],
    median: Sequence[float],
    largest: Sequence[int] | None = None,
) -> list[Candidate]:
    """All patch sizes from the largest on, each smaller than the one before by a step on one axis.

    The first has the aspect ratio of equal millimetres, as nnU-Net's, cut to the images' median size; `largest` stands
    for another one. Registration starts from whole images. In each step the axis shrinks that covers most of the
    images. U-Mamba follows nnU-Net's pooling; the other networks have a divisor of their own.
    """
    if largest is None:
        largest = _first(network, spacing, median)
    if "umamba" in network:
        return list(_pooled(unet, spacing, median, largest))
    return [(patch, dict(unet)) for patch in _divided(network, config, unet, median, largest)]


def _first(network: str, spacing: Sequence[float], median: Sequence[float]) -> list[int]:
    sizes = [max(1, round(size)) for size in median]
    if info(network).task == "registration":
        return sizes
    density = [1 / value for value in spacing]
    scale = (_LARGEST[len(spacing)] / math.prod(density)) ** (1 / len(spacing))
    patch = [min(size, max(1, round(scale * value))) for size, value in zip(sizes, density, strict=True)]
    if info(network).task == "video segmentation":
        patch[0] = _FRAMES
    return patch


def _pooled(
    unet: Mapping[str, Any], spacing: Sequence[float], median: Sequence[float], largest: Sequence[int]
) -> Iterator[Candidate]:
    """nnU-Net's descent: an axis loses what it must be divisible by, which changes on the way."""

    def props(size: Sequence[int]) -> tuple[list[int], list[int], dict[str, Any]]:
        _, strides, kernels, padded, steps = get_pool_and_conv_props(list(spacing), list(size), _EDGE, 999999)
        return [int(p) for p in padded], [int(step) for step in steps], _unet(unet, strides, kernels)

    patch, steps, arguments = props(largest)
    while True:
        yield tuple(patch), arguments
        axis = _axis(patch, median, steps)
        if axis is None:
            return
        trial = list(patch)
        trial[axis] -= steps[axis]
        step = props(trial)[1][axis]  # 224 lies between 256 and 192
        smaller = list(patch)
        smaller[axis] -= step
        patch, steps, arguments = props(smaller)


def _divided(
    network: str, config: Mapping[str, Any], unet: Mapping[str, Any], median: Sequence[float], largest: Sequence[int]
) -> Iterator[tuple[int, ...]]:
    """Multiples of what the network's axes must be divisible by; a clip keeps its frames."""
    clip = info(network).task == "video segmentation"
    # the network takes any size and fills it up inside: what it would fill up to costs nothing more
    steps = [1, _FRAME_DIVISOR, _FRAME_DIVISOR] if clip else list(divisor(network, len(largest), unet, config))
    patch = [math.ceil(size / step) * step for size, step in zip(largest, steps, strict=True)]
    patch = list(fit_patch(network, patch, unet, config))
    while True:
        yield tuple(patch)
        axis = _axis(patch, median, [patch[0], *steps[1:]] if clip else steps)
        if axis is None:
            return
        patch[axis] -= steps[axis]


def _axis(patch: Sequence[int], median: Sequence[float], steps: Sequence[int]) -> int | None:
    """The axis that covers most of the images, of those that can lose a step; None when there is none."""
    free = []
    for axis, (size, wide, step) in enumerate(zip(patch, median, steps, strict=True)):
        if size - step >= max(1, min(_SMALLEST[len(patch)], round(wide))):
            free.append(axis)
    return max(free, key=lambda axis: (patch[axis] / median[axis], axis), default=None)


def _unet(unet: Mapping[str, Any], strides: Sequence[Any], kernels: Sequence[Any]) -> dict[str, Any]:
    """The arguments of the stock plan in another topology; widths double from the first up to nnU-Net's limits."""
    stages, dims = len(strides), len(strides[0])
    most, first = _MOST_FEATURES[dims], unet["features_per_stage"][0]
    changed = dict(unet) | {
        "n_stages": stages,
        "strides": [list(stride) for stride in strides],
        "kernel_sizes": [list(kernel) for kernel in kernels],
        "features_per_stage": [min(most, first * 2**stage) for stage in range(stages)],
    }
    lengths = {"n_conv_per_stage": stages, "n_blocks_per_stage": stages, "n_conv_per_stage_decoder": stages - 1}
    for key, length in lengths.items():
        if key in unet:
            blocks = list(unet[key])
            changed[key] = (blocks + blocks[-1:] * length)[:length]
    return changed
