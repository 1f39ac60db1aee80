"""Fields of displacement in torch: composing, inverting, resizing, exponentials, folding.

A field is (1, 3, X, Y, Z) in voxels of its grid, component c along array axis c; it sends p to p + u(p). Beyond the
edge of its grid a field goes on as it is there: zeros would tear it, and exp(-v) would not undo exp(v).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...blocks.warp import warp
from ..similarity.windows import along_axes


def _inside(displacement: Tensor) -> Tensor:
    """The displacement cut so that no voxel reads from beyond the edge."""
    cut = []
    for axis, size in enumerate(displacement.shape[2:]):
        at = torch.arange(size, dtype=displacement.dtype, device=displacement.device)
        at = at.view(size, *[1] * (displacement.dim() - axis - 3))
        cut.append(torch.minimum(torch.maximum(displacement[:, axis], -at), size - 1 - at))
    return torch.stack(cut, dim=1)


def sample(image: Tensor, displacement: Tensor) -> Tensor:
    """``image(p + displacement(p))``, linear, the edge repeated outside. (1, C, *s), (1, 3, *s) -> (1, C, *s)."""
    return warp(image, _inside(displacement))


def compose(first: Tensor, then: Tensor) -> Tensor:
    """The field of ``then`` after ``first``: p goes to q = p + first(p), and on to q + then(q)."""
    return first + sample(then, first)


def exponential(velocity: Tensor, steps: int = 6) -> Tensor:
    """The displacement a stationary velocity reaches at time 1: scaling and squaring (Arsigny et al. 2006)."""
    flow = velocity / 2**steps
    for _ in range(steps):
        flow = compose(flow, flow)
    return flow


def resize(field: Tensor, shape: Sequence[int]) -> Tensor:
    """The same map on a grid of another size over the same field of view, its values in the new voxels."""
    if tuple(field.shape[2:]) == tuple(shape):
        return field
    ratio = [new / old for new, old in zip(shape, field.shape[2:], strict=True)]
    scale = torch.tensor(ratio, dtype=field.dtype, device=field.device).view(1, -1, 1, 1, 1)
    return F.interpolate(field, size=tuple(shape), mode="trilinear", align_corners=False) * scale


def smooth(x: Tensor, sigma: Sequence[float]) -> Tensor:
    """Gaussian smoothing of (B, C, X, Y, Z) by `sigma` voxels along each axis, the edge repeated outside."""
    matrices = []
    for size, width in zip(x.shape[2:], sigma, strict=True):
        at = torch.arange(size, dtype=x.dtype, device=x.device)
        reach = int(3 * width + 0.5)
        matrix = torch.zeros(size, size, dtype=x.dtype, device=x.device)
        for step in range(-reach, reach + 1):
            weight = torch.exp(torch.tensor(-0.5 * (step / max(width, 1e-6)) ** 2, dtype=x.dtype, device=x.device))
            matrix.index_put_((at.long(), (at + step).clamp(0, size - 1).long()), weight, accumulate=True)
        matrices.append(matrix / matrix.sum(1, keepdim=True))
    return along_axes(x, matrices)


def invert(displacement: Tensor, start: Tensor | None = None, iterations: int = 40, tolerance: float = 0.02) -> Tensor:
    """The inverse field w, with p + w(p) + u(p + w(p)) = p, by fixed-point iteration (Chen et al. 2008).

    start: a first guess, exp(-v) for one; else -u. Stops when 95 % of the voxels are within `tolerance` voxels, or when
    it gets no better; the best iterate is returned. A folded field has no inverse: look at `residual`.
    """
    inverse = -displacement if start is None else start
    best, lowest, relax = inverse, torch.inf, 1.0
    for _ in range(iterations):
        error = inverse + sample(displacement, inverse)
        level = percentile(length(error), 95)
        if level < lowest:
            best, lowest = inverse, level
        else:
            relax *= 0.7
        if level < tolerance or relax < 0.05:
            break
        inverse = inverse - relax * error
    return best


def length(field: Tensor) -> Tensor:
    """(B, 3, *s) -> (B, *s): how long each vector is. (torch's own norm over this axis takes seventy times as long.)"""
    x, y, z = field.unbind(1)
    return (x * x).addcmul_(y, y).addcmul_(z, z).sqrt_()


def percentile(values: Tensor, percent: float) -> float:
    """The value that `percent` of all stay below; 0 where there is none. (torch.quantile refuses large tensors.)"""
    flat = values.flatten()
    return float(flat.kthvalue(max(1, round(percent / 100 * len(flat)))).values) if len(flat) else 0.0


def residual(displacement: Tensor, inverse: Tensor, spacing: Sequence[float]) -> tuple[float, float]:
    """How far the inverse is from one: mean and 95th percentile of |phi(phi^-1(x)) - x| in mm.

    Over the voxels whose way there and back stays within the grid.
    """
    scale = torch.tensor(tuple(spacing), dtype=inverse.dtype, device=inverse.device).view(1, 3, 1, 1, 1)
    error = length((inverse + sample(displacement, inverse)) * scale)
    stays = (_inside(inverse) == inverse).all(dim=1)
    kept = error[stays]
    return (float(kept.mean()), percentile(kept, 95)) if len(kept) else (0.0, 0.0)


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """det(I + du/dp), central differences, the edge repeated outside. (1, 3, X, Y, Z) -> (1, 1, X, Y, Z)."""
    padded = F.pad(displacement, [1] * 6, mode="replicate")
    rows = []
    for axis in range(3):
        ahead, behind = padded, padded
        for other in range(3):
            size = displacement.shape[2 + other]
            ahead = ahead.narrow(2 + other, 2 if other == axis else 1, size)
            behind = behind.narrow(2 + other, 0 if other == axis else 1, size)
        change = (ahead - behind)[0] / 2
        change[axis] += 1
        rows.append(change)
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = rows
    return (ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx))[None, None]


def folding_share(displacement: Tensor, mask: Tensor | None = None) -> float:
    """Percent of the voxels (in the mask) whose Jacobian determinant is 0 or less, a rim of two voxels left out."""
    folded = jacobian_determinant(displacement) <= 0
    counted = torch.ones_like(folded) if mask is None else mask > 0
    inner = [slice(None)] * 2 + [slice(2, -2) if size > 4 else slice(None) for size in displacement.shape[2:]]
    folded, counted = folded[tuple(inner)], counted[tuple(inner)]
    return 100 * float((folded & counted).sum()) / max(int(counted.sum()), 1)
