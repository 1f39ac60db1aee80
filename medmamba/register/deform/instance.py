"""Instance optimisation: the field of this one pair, by gradient descent from coarse to fine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, prod

import torch
from torch import Tensor

from ..similarity import diffusion
from .contrast import alike
from .fields import exponential, folding_share, invert, residual, resize, smooth
from .levels import Level, Shape, level, shapes
from .objective import Side, both, distance, judge
from .sides import Deformation, Settings, Sides

Progress = Callable[[str, int, int, float], None]
"""Called with (level, iteration, iterations, loss)."""

REG_WEIGHT = {"lncc": 0.5, "mse": 0.01, "nmi": 0.05, "mind": 0.2}
"""Weight of the diffusion by similarity: their values differ in size."""
_CONTROL = 2
"""Voxels of the level between the points that carry the velocity."""
_SIGMA = 1.0
"""Smoothing of the velocity, in control points (a fluid prior, beside the diffusion)."""
_STEP = 0.25
"""Of Adam, in voxels of the level."""
_SQUARINGS = 5
_PATIENCE, _PLATEAU = 5, 1e-4
"""Iterations without a relative improvement of the loss by so much, after which Adam goes on from the best iterate with
a third of its step, and in the end the level is done."""
_ATTEMPTS = 3
"""Reruns of the finest level with a higher weight before a folded field is smoothed instead."""
_SMOOTHINGS = 20
_LARGE, _SHARE = 500_000, 0.2
"""Of a level of more voxels than these each iteration takes long and little is left to do: it gets this share of them.
With so many voxels noise is no matter either, and correlation by itself comes nearer to a known field than the mean."""
ALSO = {"lncc": ("mind",), "mind": ("lncc",)}
"""Similarities that err in different places: the mean of their velocities is better than either."""
_OF_ONE_CONTRAST = ("lncc", "mse")


@dataclass(frozen=True, eq=False)
class _Fields:
    """What one velocity means for the pair: how each image is read, and where each side's points go."""

    images: list[tuple[Tensor | None, Tensor]]
    """Ways to compare the pair: (field of the fixed side or None, field of the moving side)."""
    points: tuple[Tensor | None, Tensor | None]


def _is_large(shape: Shape) -> bool:
    return prod(shape) > _LARGE


def _controls(shape: Shape) -> Shape:
    x, y, z = (max(2, -(-size // _CONTROL)) for size in shape)
    return x, y, z


def _limited(field: Tensor, spacing: Sequence[float], most: float | None) -> Tensor:
    """The field with no vector longer than `most` mm. No voxel then moves further along a stationary velocity."""
    if most is None:
        return field
    length = (field * field.new_tensor(tuple(spacing)).view(1, 3, 1, 1, 1)).norm(dim=1, keepdim=True)
    return field * (most / length.clamp_min(most))


def _fields(motion: Tensor, shape: Shape, settings: Settings) -> _Fields:
    """From the velocity (or displacement) on the control points to the fields on the level's voxels.

    A symmetric velocity is judged half way: both images are read there, so neither is the template.
    """
    if not settings.diffeomorphic:
        field = resize(motion, shape)
        return _Fields([(None, field)], (field, None))
    if not settings.symmetric:
        field = resize(exponential(motion, _SQUARINGS), shape)
        return _Fields([(None, field)], (field, None))
    ahead, back = (resize(exponential(sign * motion / 2, _SQUARINGS), shape) for sign in (1, -1))
    return _Fields([(back, ahead)], (ahead, back))


def _descend(
    at: Level, motion: Tensor, settings: Settings, weight: float, progress: Callable[[int, int, float], None]
) -> tuple[Tensor, list[float]]:
    """Optimise one level from `motion` (its control points, control voxels); the best iterate and the losses."""
    shape = at.shape
    spacing = [s * n / c for s, n, c in zip(at.sides.spacing, shape, motion.shape[2:], strict=True)]
    unit = motion.new_tensor([at.step / s for s in spacing]).view(1, 3, 1, 1, 1)
    free = (motion / unit).requires_grad_()
    adam = torch.optim.Adam([free], lr=_STEP)
    sides = both(at.sides, settings.similarity)
    best, kept, lowest, losses, stale = motion, free.detach().clone(), torch.inf, [], 0
    iterations = ceil(settings.iterations * (_SHARE if _is_large(shape) else 1))
    for iteration in range(iterations):
        now = _limited(smooth(free, [_SIGMA] * 3) * unit, spacing, settings.max_displacement_mm)
        loss = _loss(sides, _fields(now, shape, settings), settings, at) + weight * diffusion(now, spacing)
        value = float(loss.detach())
        losses.append(value)
        progress(iteration + 1, iterations, value)
        stale = 0 if value < lowest - _PLATEAU * abs(lowest) or iteration == 0 else stale + 1
        if value < lowest:
            best, kept, lowest = now.detach(), free.detach().clone(), value
        if stale >= _PATIENCE:
            if adam.param_groups[0]["lr"] < _STEP / 10:
                break
            free = kept.clone().requires_grad_()
            adam, stale = torch.optim.Adam([free], lr=adam.param_groups[0]["lr"] / 3), 0
            continue
        adam.zero_grad()
        loss.backward()
        adam.step()
    return best, losses


def _loss(sides: tuple[Side, Side], fields: _Fields, settings: Settings, at: Level) -> Tensor:
    ways = [judge(sides, way, settings) for way in fields.images]
    return torch.stack(ways).mean() + settings.point_weight * distance(sides, fields.points, at.sides.spacing)


def _on(motion: Tensor | None, shape: Shape, like: Tensor) -> Tensor:
    """The motion on the control points of another level; zeros to begin with."""
    controls = _controls(shape)
    return like.new_zeros(1, 3, *controls) if motion is None else resize(motion, controls)


def _map(motion: Tensor, shape: Sequence[int], settings: Settings, sign: int = 1) -> Tensor:
    """The displacement on the full grid that a motion on control points means."""
    field = exponential(sign * motion, _SQUARINGS + 1) if settings.diffeomorphic else sign * motion
    return resize(field, shape)


def optimise(
    sides: Sides, settings: Settings, start: Tensor | None = None, progress: Progress | None = None
) -> Deformation:
    """Find the field that makes the moving image like the fixed one, and its inverse.

    Three levels, each with voxels twice as long as the next; the finest has at most 1.5 million voxels, the field in
    between is interpolated. The velocity lives on every second voxel and is smoothed; Adam, the best iterate kept.

    Parameters
    ----------
    start: (1, 3, X, Y, Z) a displacement to begin with (a network's, the discrete search's), taken for a velocity.
    progress: called in each iteration.

    With several similarities (`settings.also`) each has its own solution, and the velocities are averaged. LNCC after
    MIND sees one image in the contrast of the other, as MIND's solution shows it (`contrast.alike`). Where more
    than `settings.max_folding` percent of the mask fold, the finest level is run again with twice the weight, then the
    field is smoothed. The same input gives the same field.
    """
    torch.manual_seed(settings.seed)
    levels = [level(sides, shape) for shape in shapes(sides)]
    names = (settings.similarity, *_also(settings, levels[-1].shape))
    usual = REG_WEIGHT[settings.similarity]
    factor = (usual if settings.reg_weight is None else settings.reg_weight) / usual
    solutions: list[_Solution] = []
    for name in names:
        own = replace(settings, similarity=name, reg_weight=factor * REG_WEIGHT[name])
        ways: list[Level] = levels
        if name in _OF_ONE_CONTRAST and settings.similarity not in _OF_ONE_CONTRAST:
            seen = alike(sides, _map(solutions[0].motion, sides.fixed.shape[2:], settings))
            ways = [] if seen is None else [level(seen, at.shape) for at in levels]
        if ways:
            solutions.append(_solution(sides, own, ways, start, _told(progress, name, len(names) > 1)))
    motion = torch.stack([solution.motion for solution in solutions]).mean(0)
    losses = [curve for solution in solutions for curve in solution.losses]
    warnings = list(dict.fromkeys(warning for solution in solutions for warning in solution.warnings))
    motion, more = _smoothed(sides, settings, motion)
    return _finished(sides, settings, motion, losses, warnings + more)


def _also(settings: Settings, finest: Shape) -> tuple[str, ...]:
    if settings.also is not None:
        return settings.also
    alone = _is_large(finest) and settings.similarity in _OF_ONE_CONTRAST
    return () if alone else ALSO.get(settings.similarity, ())


@dataclass(frozen=True, eq=False)
class _Solution:
    motion: Tensor
    """(1, 3, *controls) of the finest level, in control voxels."""
    losses: list[list[float]]
    warnings: list[str]


def _solution(
    sides: Sides, settings: Settings, levels: Sequence[Level], start: Tensor | None, told: Progress
) -> _Solution:
    """The motion by one similarity, coarse to fine; run again with a higher weight where it folds."""
    assert settings.reg_weight is not None
    weight = settings.reg_weight
    motion, before, losses = start, start, []
    for index, at in enumerate(levels):
        before = _on(motion, at.shape, sides.fixed)
        progress = partial(told, f"level {index + 1} of {len(levels)}")
        motion, curve = _descend(at, before, settings, weight, progress)
        losses.append(curve)
    assert motion is not None and before is not None
    for _ in range(_ATTEMPTS):
        if not _folds(sides, settings, motion):
            break
        weight = max(2 * weight, REG_WEIGHT[settings.similarity])
        before = smooth(before, [1.0] * 3)
        motion, _ = _descend(at, before, settings, weight, lambda iteration, total, loss: None)
    else:
        return _Solution(motion, losses, [])  # what is left of the folds is smoothed away at the end
    if weight == settings.reg_weight:
        return _Solution(motion, losses, [])
    warning = f"The field folded with {settings.similarity}; a regularisation weight of {weight:g} made it smooth."
    return _Solution(motion, losses, [warning])


def _folds(sides: Sides, settings: Settings, motion: Tensor) -> bool:
    displacement = _map(motion, sides.fixed.shape[2:], settings)
    return folding_share(displacement, sides.fixed_mask) > settings.max_folding


def _smoothed(sides: Sides, settings: Settings, motion: Tensor) -> tuple[Tensor, list[str]]:
    """The motion, smoothed (and in the end shortened) until its map folds no more than allowed."""
    rounds = 0
    while _folds(sides, settings, motion):
        rounds += 1
        motion = smooth(motion, [1.0] * 3) * (1 if rounds <= _SMOOTHINGS else 0.8)
    return motion, [f"The field folded, so it was smoothed {rounds} times afterwards."] if rounds else []


def _told(progress: Progress | None, name: str, several: bool) -> Progress:
    def told(where: str, iteration: int, total: int, loss: float) -> None:
        if progress is not None:
            progress(f"{name}, {where}" if several else where, iteration, total, loss)

    return told


def _finished(
    sides: Sides, settings: Settings, motion: Tensor, losses: list[list[float]], warnings: list[str]
) -> Deformation:
    full = sides.fixed.shape[2:]
    displacement = _limited(_map(motion, full, settings), sides.spacing, settings.max_displacement_mm)
    guess = _map(motion, full, settings, sign=-1) if settings.diffeomorphic else None
    inverse = invert(displacement, guess)
    mean, high = residual(displacement, inverse, sides.spacing)
    if high > 0.5 * min(sides.spacing):
        warnings = [*warnings, f"The inverse is off by {high:.2f} mm at the 95th percentile, over half a voxel."]
    return Deformation(
        displacement=displacement,
        inverse=inverse,
        velocity=resize(motion, full) if settings.diffeomorphic else None,
        losses=losses,
        warnings=tuple(warnings),
        inverse_residual_mm=(mean, high),
        folding=folding_share(displacement, sides.fixed_mask),
    )
