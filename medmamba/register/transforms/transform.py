"""A spatial transform: affine maps and displacement fields, one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from ...errors import DataError
from ..grid import FLIP, Grid

_SAME = 1e-6
"""Voxels by which two grids' voxels may be apart and still be the same."""
_AT_ONCE = 2**18
"""Points that are worked on at a time: a few dozen megabytes."""


@dataclass(frozen=True, eq=False)
class Affine:
    """An affine map of RAS millimetres to RAS millimetres."""

    matrix: NDArray[np.float64]
    """(4, 4)."""

    def points(self, ras: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points (N, 3) go."""
        return ras @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def inverse(self) -> "Affine":
        """The map back."""
        return Affine(np.linalg.inv(self.matrix).astype(np.float64))

    def itk(self) -> Any:
        """The same map between ITK's LPS millimetres."""
        transform = sitk.AffineTransform(3)
        transform.SetMatrix((FLIP @ self.matrix[:3, :3] @ FLIP).ravel().tolist())
        transform.SetTranslation((FLIP @ self.matrix[:3, 3]).tolist())
        return transform

    @classmethod
    def from_itk(cls, transform: Any) -> "Affine":
        """From any linear transform of SimpleITK, by where it sends four points."""
        origin, *ends = (np.array(transform.TransformPoint(point)) for point in np.vstack([np.zeros(3), np.eye(3)]))
        matrix = np.eye(4)
        matrix[:3, :3] = FLIP @ np.stack([end - origin for end in ends], axis=1) @ FLIP
        matrix[:3, 3] = FLIP @ origin
        return cls(matrix)


@dataclass(frozen=True, eq=False)
class Field:
    """A dense displacement field: the voxel at index i goes to index i + displacement[i]."""

    displacement: NDArray[np.float32]
    """(X, Y, Z, 3), in voxels of `grid`, component c along array axis c."""
    grid: Grid

    def points(self, ras: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points (N, 3) go: linear between voxels; a point in none of the grid's voxels stays, as in ITK."""
        index = self.grid.index(ras)
        inside = self.grid.holds(index)
        at = index[inside].T
        moved = [map_coordinates(self.displacement[..., axis], at, np.float64, 1, "nearest") for axis in range(3)]
        result = np.array(ras, np.float64)
        result[inside] += np.stack(moved, axis=1) @ self.grid.affine[:3, :3].T
        return result

    def among(self, grid: Grid) -> NDArray[np.float32] | None:
        """(X, Y, Z, 3): those in voxels of a grid whose voxels are among this one's; None where they are not.

        The grid may be a cut of this one, and its axes may run in another order and direction. Nothing is interpolated.
        """
        first, *ends = self.grid.index(grid.world(np.vstack([np.zeros(3), np.eye(3)])))
        steps = np.array(ends) - first  # one row an axis of `grid`: how far it leads along each of ours
        axes = np.abs(steps).argmax(1)
        signs = np.sign(steps[np.arange(3), axes]).astype(int)
        start = np.rint(first).astype(int)
        apart = max(
            np.abs(first - start).max(), np.abs(steps - signs[:, None] * np.eye(3)[axes]).max() * max(grid.shape)
        )
        last = start.copy()
        last[axes] += signs * (np.array(grid.shape) - 1)
        outside = np.minimum(start, last).min() < 0 or np.any(np.maximum(start, last) >= self.grid.shape)
        if apart > _SAME or outside or len(set(axes)) < 3:
            return None
        cut = self.displacement[tuple(slice(min(a, b), max(a, b) + 1) for a, b in zip(start, last, strict=True))]
        if np.array_equal(steps.round(), np.eye(3)):
            return cut
        turned = np.flip(cut.transpose(*axes, 3), tuple(axis for axis in range(3) if signs[axis] < 0))
        return np.ascontiguousarray(turned[..., axes] * signs.astype(np.float32))

    def vectors(self, lps: bool = True) -> NDArray[np.float32]:
        """(X, Y, Z, 3): the displacement in millimetres, along left, posterior, superior or (False) RAS."""
        matrix = (FLIP if lps else np.eye(3)) @ self.grid.affine[:3, :3]
        return _turned(self.displacement, matrix, np.float32)

    @classmethod
    def from_vectors(cls, vectors: NDArray[Any], grid: Grid, lps: bool = True) -> "Field":
        """The field of displacements (X, Y, Z, 3) in millimetres; see `vectors`."""
        matrix = np.linalg.inv(grid.affine[:3, :3]) @ (FLIP if lps else np.eye(3))
        return cls(_turned(vectors, matrix, np.float32), grid)

    def itk(self) -> Any:
        """ITK's transform of this field: vectors in LPS millimetres, float64 as ITK keeps them."""
        matrix = FLIP @ self.grid.affine[:3, :3]
        vectors = _turned(self.displacement.transpose(2, 1, 0, 3), matrix, np.float64)
        image = self.grid.stamp(sitk.GetImageFromArray(vectors, isVector=True))
        del vectors
        return sitk.DisplacementFieldTransform(image)  # takes the image's memory for its own

    @classmethod
    def from_itk_image(cls, image: Any) -> "Field":
        """From an ITK image of three components, LPS millimetres."""
        array = sitk.GetArrayViewFromImage(image).transpose(2, 1, 0, 3)
        return cls.from_vectors(array, Grid.of(image))


@dataclass(frozen=True, eq=False)
class Transform:
    """Maps points of the fixed image to the moving image; a resampled image travels the other way.

    The parts stand in the order in which a point meets them: (Field, Affine) for a registration, (inverse Affine,
    inverse Field) for its inverse.
    """

    parts: tuple[Affine | Field, ...]

    def points(self, ras: ArrayLike) -> NDArray[np.float64]:
        """Where points (N, 3) in RAS mm go. Outside of its grid a field leaves points where they are, as in ITK."""
        start = np.atleast_2d(np.asarray(ras, np.float64))
        result = np.empty_like(start)
        for first in range(0, len(start), _AT_ONCE):
            some = start[first : first + _AT_ONCE]
            for part in self.parts:
                some = part.points(some)
            result[first : first + _AT_ONCE] = some
        return result

    def covers(self, ras: ArrayLike) -> NDArray[np.bool_]:
        """(N,): whether points (N, 3) lie in the grid of each field when they come to it."""
        points = np.atleast_2d(np.asarray(ras, np.float64))
        inside = np.ones(len(points), bool)
        for part in self.parts:
            if isinstance(part, Field):
                inside &= part.grid.inside(points)
            points = part.points(points)
        return inside

    def itk(self) -> Any:
        """The composite of SimpleITK, whose last part is applied first."""
        return sitk.CompositeTransform([part.itk() for part in reversed(self.parts)] or [sitk.AffineTransform(3)])

    @classmethod
    def from_itk(cls, transform: Any, reference: Grid | None = None) -> "Transform":
        """From any transform of SimpleITK in three dimensions.

        reference: grid on which a transform that is neither linear nor a displacement field (a B-spline) is sampled.
        Raises DataError for such a transform without it, and for one of two dimensions.
        """
        if transform.GetDimension() != 3:
            problem = f"The transform has {transform.GetDimension()} dimensions."
            raise DataError(problem, "Registration is of volumes: give a transform of three.")
        parts: list[Affine | Field] = []
        for single in _singles(transform):
            if single.IsLinear():
                parts.append(Affine.from_itk(single))
            elif single.GetTransformEnum() == sitk.sitkDisplacementField:
                field = sitk.DisplacementFieldTransform(single)
                parts.append(Field.from_itk_image(field.GetDisplacementField()))
            elif reference is not None:
                parts.append(Field.from_itk_image(_sampled(single, reference)))
            else:
                problem = f"The transform holds a {single.GetName()}, which is no displacement field."
                raise DataError(problem, "Give the fixed image as the reference on which it is sampled.")
        return cls(tuple(parts))

    def displacement_on(self, grid: Grid) -> Field:
        """The whole map as one displacement field in voxels of `grid`, sampled at its voxels."""
        first = self.parts[0] if self.parts else None
        ahead = first.among(grid) if isinstance(first, Field) else None
        if isinstance(first, Field) and ahead is not None and len(self.parts) == 1:
            return first if first.grid.shape == grid.shape else Field(np.ascontiguousarray(ahead), grid)
        rest = self if ahead is None else Transform(self.parts[1:])
        result = np.empty((*grid.shape, 3), np.float32)
        for rows, index in slabs(grid.shape):
            there = index if ahead is None else index + ahead[rows].reshape(-1, 3)
            moved = grid.index(rest.points(grid.world(there))) - index
            result[rows] = moved.reshape(result[rows].shape)
        return Field(result, grid)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The parts that are displacement fields."""
        return tuple(part for part in self.parts if isinstance(part, Field))


def slabs(shape: tuple[int, int, int]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """The voxels of a grid in handy portions: rows of the first axis, and the indices (N, 3) of their voxels."""
    many = max(1, _AT_ONCE // (shape[1] * shape[2]))
    for first in range(0, shape[0], many):
        rows = slice(first, min(first + many, shape[0]))
        index = np.indices((rows.stop - first, *shape[1:]), np.float64).reshape(3, -1).T
        index[:, 0] += first
        yield rows, index


def _turned(vectors: NDArray[Any], matrix: NDArray[np.float64], dtype: Any) -> NDArray[Any]:
    """`matrix` applied to each vector (..., 3), computed in float64 row by row."""
    result = np.empty(vectors.shape, dtype)
    for row, target in zip(vectors, result, strict=True):
        target[...] = row.astype(np.float64) @ matrix.T
    return result


def _singles(transform: Any) -> Iterator[Any]:
    """The single transforms in the order in which a point meets them."""
    if transform.GetTransformEnum() == sitk.sitkComposite:
        composite = sitk.CompositeTransform(transform)
        for number in reversed(range(composite.GetNumberOfTransforms())):
            yield from _singles(composite.GetNthTransform(number))
    elif transform.GetTransformEnum() != sitk.sitkIdentity:
        yield transform


def _sampled(transform: Any, grid: Grid) -> Any:
    reference = grid.reference()
    return sitk.TransformToDisplacementField(
        transform,
        sitk.sitkVectorFloat64,
        reference.GetSize(),
        reference.GetOrigin(),
        reference.GetSpacing(),
        reference.GetDirection(),
    )
