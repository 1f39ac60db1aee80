"""One pair on its way through the stages, to the verdict and to what is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..affine import AffineResult
from ..images import Volume, onto
from ..metrics import Residual
from ..transforms.transform import Affine, Field, Transform
from ..warping import jacobian, outside_share, warp_labels
from .auto_seg import Segmented, Segmenter
from .checks import Pair
from .models import Models
from .options import Options
from .outcome import Measure, Score, StageName, Verdict, judged
from .outputs import Result
from .picture import View
from .report import affine_json, deformation_of, losses_json, residual_of
from .stages import Course, Deformed, affine_stage, deform, settings_of, similarity_of
from .workspace import Guides, Scene, one_hot, scene, view_grid, without_margin, work_grid

_FAR_OUTSIDE = 0.25
"""Share of the fixed voxels that map outside the moving image, from which on it is told."""
_STILL = 0.01
"""Voxels: a mean displacement below this is none."""
Seen = tuple[StageName, Scene, Transform]


@dataclass(frozen=True, eq=False)
class Found:
    """What the stages found."""

    result: Result
    scores: Sequence[Score]
    verdict: Verdict
    view: View
    more: dict[str, Any]
    """For the report."""


class PairWork:
    """One pair on its way through the stages."""

    def __init__(self, pair: Pair, options: Options, models: Models, device: torch.device, course: Course) -> None:
        self.pair, self.options, self.models, self.device, self.course = pair, options, models, device, course
        self.fixed, self.moving = pair.fixed.scaled, pair.moving.scaled
        self.grid = work_grid(pair.fixed.image.grid)
        self.segmented: tuple[Segmented, Segmented] | None = None

    def run(self) -> Found:
        """All stages, the verdict on them, and what is kept."""
        guides = self._guides()
        begun = Affine(np.eye(4)) if self.pair.start is None else self.pair.start
        with self.course.stage("affine"):
            aligned, same = affine_stage(self.pair, self.options, guides, self.grid, self.course)
        similarity = similarity_of(self.options, same, self.course)
        maps: list[tuple[StageName, Transform]] = [("start", Transform((begun,)))]
        if self.options.affine != "none":
            maps.append(("affine", Transform((aligned.transform,))))
        seen = [(name, self._scene(transform), transform) for name, transform in maps]
        deformed = None
        if self.options.stages:
            settings = settings_of(self.options, similarity)
            where = (self.pair, seen[-1][1], aligned.transform, self.options, settings, guides)
            deformed = deform(*where, self.models.network, self.device, self.course)
            whole = Transform((self._on_fixed(deformed.forward), aligned.transform))
            seen.append(("deformation", self._scene(whole), whole))
        return self._concluded(seen, aligned, deformed, similarity)

    def _guides(self) -> Guides:
        """What the optimisation goes by besides intensities."""
        fixed, moving, options = self.pair.fixed, self.pair.moving, self.options
        labels: list[tuple[Volume, Volume]] = []
        points = None
        if options.io_labels:
            if fixed.labels is not None and moving.labels is not None:
                both = (one_hot(side, self.pair.labels) for side in (fixed.labels, moving.labels))
                labels += zip(*both, strict=True)
            if fixed.points is not None and moving.points is not None:
                points = (fixed.points.ras, moving.points.ras)
        if self.models.segmenter is not None:
            labels += self._segment(self.models.segmenter)
        return Guides(labels, points)

    def _segment(self, segmenter: Segmenter) -> list[tuple[Volume, Volume]]:
        with self.course.stage("labels"):
            step = self.course.watcher.step
            first, second = (segmenter(side.image, step) for side in (self.pair.fixed, self.pair.moving))
        self.segmented = (first, second)
        self.course.notes["auto_seg"] = {"model": segmenter.name, "digest": segmenter.digest}
        if first.shares is not None and second.shares is not None:
            return list(zip(first.shares, second.shares, strict=True))
        values = np.intersect1d(np.unique(first.labels.data), np.unique(second.labels.data))
        both = (one_hot(one.labels, [int(value) for value in values if value]) for one in (first, second))
        return list(zip(*both, strict=True))

    def _scene(self, transform: Transform) -> Scene:
        return scene(self.fixed, self.moving, transform, self.grid)

    def _on_fixed(self, field: Field) -> Field:
        """A field of the work grid on the fixed image's own grid."""
        return Transform((field,)).displacement_on(self.pair.fixed.image.grid)

    def _concluded(
        self, seen: Sequence[Seen], aligned: AffineResult, deformed: Deformed | None, similarity: str
    ) -> Found:
        measure, given = self._measure(similarity)
        with self.course.stage("measure"):
            scores = measure.scores(seen)
        verdict = judged(scores, similarity, labels=given or self.segmented is not None)
        kept = next(number for number, (name, _, _) in enumerate(seen) if name == verdict.kept)
        result = self._result(seen[kept][2], deformed if verdict.kept == "deformation" else None)
        mask = None if self.pair.fixed.mask is None else self.pair.fixed.mask.data > 0
        shape = deformation_of(result, mask)
        residual = residual_of(result, self.pair)
        outside = outside_share(self.pair.moving.image.grid, result.transform, self.pair.fixed.image.grid)
        if verdict.exit_code:
            self.course.warnings.append(verdict.sentence)
        self._warn(deformed, verdict, shape["folding_percent"], residual, outside)
        more = {
            "similarity": {"optimised": similarity, **self.course.notes.get("contrast", {})},
            "affine": affine_json(aligned),
            "deformation": shape,
            "inverse_residual_mm": None if residual is None else vars(residual),
            "outside_share": outside,
            "labels": {"values": list(measure.values), "from": "files" if given else self.course.notes.get("auto_seg")},
            "work_grid": {"shape": list(self.grid.shape), "spacing_mm": list(self.grid.spacing)},
            "losses": losses_json([] if deformed is None else deformed.losses),
        }
        return Found(result, scores, verdict, self._view(seen[0][1], seen[kept], result, measure), more)

    def _measure(self, similarity: str) -> tuple[Measure, bool]:
        """What the stages are measured by, and whether its labels are the user's."""
        fixed, moving = self.pair.fixed, self.pair.moving
        given = fixed.labels is not None and moving.labels is not None
        labels, values = (fixed.labels, moving.labels), self.pair.labels
        if not given and self.segmented is not None:
            labels = (self.segmented[0].labels, self.segmented[1].labels)
            found = np.union1d(*(np.unique(one.labels.data) for one in self.segmented))
            values = tuple(int(value) for value in found if value)
        truth = labels[0]
        if truth is not None and not truth.grid.same_as(fixed.image.grid):
            truth = Volume(onto(truth, fixed.image.grid, "nearest", 0), fixed.image.grid, truth.path)
        points = None
        if fixed.points is not None and moving.points is not None:
            points = (fixed.points, moving.points)
        mask = None if fixed.mask is None else onto(fixed.mask, self.grid, "nearest", 0) > 0
        interpolation = self.options.label_interp
        return Measure(fixed.image, truth, labels[1], values, points, interpolation, mask, similarity), given

    def _result(self, transform: Transform, deformed: Deformed | None) -> Result:
        """The kept transform with its inverse."""
        affine = next(part for part in transform.parts if isinstance(part, Affine))
        inverse = Transform((affine.inverse(),))
        if deformed is not None:
            inverse = Transform((affine.inverse(), self._on_fixed(deformed.back)))
        return Result(transform, inverse, affine, jacobian(transform, self.pair.fixed.image.grid))

    def _warn(
        self, deformed: Deformed | None, verdict: Verdict, folding: float, residual: Residual | None, outside: float
    ) -> None:
        """Sentences on what the user should look at."""
        warnings, grid = self.course.warnings, self.pair.fixed.image.grid
        if folding > 0:
            warnings.append(f"The transform folds space in {folding:.3g} % of the voxels: raise --reg-weight.")
        if residual is not None and residual.p95 > min(grid.spacing) / 2:
            text = f"The inverse is off by {residual.p95:.2g} mm at the 95th percentile, more than half a voxel."
            warnings.append(text)
        if outside > _FAR_OUTSIDE:
            warnings.append(f"{outside:.0%} of the fixed image's voxels map outside of the moving image.")
        if deformed is not None and verdict.kept == "deformation" and not self.pair.same:
            moved = float(np.linalg.norm(deformed.forward.displacement, axis=-1).mean())
            if moved < _STILL:
                text = f"The deformation stayed at the identity ({moved:.4f} voxels on average): it did nothing."
                warnings.append(text)

    def _view(self, start: Scene, kept: Seen, result: Result, measure: Measure) -> View:
        """What is drawn, on the work grid."""
        grid, fixed = view_grid(self.pair.fixed.image.grid), self.pair.fixed.image.grid
        labels = None
        if measure.fixed_labels is not None and measure.moving_labels is not None:
            ours = warp_labels(measure.moving_labels, result.transform, fixed, "nearest")
            labels = (onto(measure.fixed_labels, grid, "nearest", 0), onto(ours, grid, "nearest", 0))
        changes = onto(Volume(result.jacobian, fixed), grid, "nearest", 1)
        displacement = Transform(result.transform.fields).displacement_on(grid).displacement
        before, after = (np.where(one.moving_inside, one.moving, 0) for one in (start, kept[1]))
        shown, moving, warped = (without_margin(array) for array in (start.fixed, before, after))
        return View(grid, shown, moving, warped, displacement, changes, labels)


def title_of(pair: Pair, found: Found) -> str:
    """What stands above the picture: which images, and how it went."""
    names = " onto ".join(str(side.image.path.name if side.image.path else "-") for side in (pair.moving, pair.fixed))
    shape, residual = found.more["deformation"], found.more["inverse_residual_mm"]
    facts = [f"folding {shape['folding_percent']:.3g} %", f"SDlogJ {shape['sdlogj']:.3f}"]
    if residual is not None:
        facts.append(f"inverse within {max(residual['p95'], 0.001):.2g} mm (95 %)")
    return f"{names}\n{found.verdict.sentence}  {', '.join(facts)}"
