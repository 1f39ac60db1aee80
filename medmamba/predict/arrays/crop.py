"""What of an image is not zero: its mask, the box around it, its holes."""

import numpy as np
from numpy.typing import NDArray

OUTSIDE = -1
"""What nnU-Net marks voxels with that are background and connected to the border."""


def nonzero(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where any channel of `image` (C, *size) is not zero."""
    mask: NDArray[np.bool_] = image[0] != 0
    for channel in image[1:]:
        mask |= channel != 0
    return mask


def bounding_box(mask: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Half-open range of each axis that holds all of `mask`; everything where the mask is empty, as nnU-Net has it.

    Filling the mask's holes would not change it.
    """
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append((int(used[0]), int(used[-1]) + 1) if len(used) else (0, mask.shape[axis]))
    return tuple(box)


def background(mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """OUTSIDE where `mask`, its holes filled, is false; 0 elsewhere. The mask fills its grid from border to border.

    A hole is what no way along the axes leads out of. One labelling of what is not mask finds all of them: SciPy's
    `binary_fill_holes` creeps in from the border, a voxel a step.
    """
    outside = np.zeros(mask.shape, np.int8)
    if mask.all():
        return outside
    from scipy.ndimage import label

    parts, _ = label(~mask)
    reached = np.unique(
        np.concatenate([np.unique(parts.take(end, axis)) for axis in range(mask.ndim) for end in (0, -1)])
    )
    open_parts = np.zeros(int(parts.max()) + 1, np.bool_)
    open_parts[reached] = True
    open_parts[0] = False
    outside[open_parts[parts]] = OUTSIDE
    return outside
