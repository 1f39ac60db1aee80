"""Labels of both images by a trained segmentation network, to guide a registration."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...predict.files.cases import find_cases
from ...predict.predictor import Predictor
from ..images import Volume, read_labels

_KEPT = 2
"""Images whose labels are remembered: in a list of pairs one image often stands in several lines that follow."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """One image as a network sees it."""

    labels: Volume
    """The label map."""
    shares: tuple[Volume, ...] | None
    """How likely each voxel belongs to each structure, float32 0..1, background left out. None where the model's axes
    are not the file's: then only the label map is there."""


class Segmenter:
    """A trained segmentation model that labels images for registration.

    model: what `medmamba.predict.loading.load` takes: a bundle, a results folder, DATASET:NET.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        self._predictor = Predictor(model, device=device)
        self.name, self.digest = self._predictor.model.name, self._predictor.model.digest
        self._seen: dict[Path, Segmented] = {}

    def __call__(self, image: Volume, on_tile: Callable[[int, int], None] | None = None) -> Segmented:
        """The labels of an image that was read from a file. Raises DataError where the model cannot take it."""
        if image.path is None:
            raise DataError("The image has no file.", "Write it into one first.")
        found = self._seen.pop(image.path, None)
        if found is None:
            while len(self._seen) >= _KEPT:
                self._seen.pop(next(iter(self._seen)))
            found = self._segment(image.path, on_tile)
        self._seen[image.path] = found  # the last one asked for is the last one forgotten
        return found

    def _segment(self, path: Path, on_tile: Callable[[int, int], None] | None) -> Segmented:
        recipe = self._predictor.recipe
        (case,) = find_cases(path, recipe)
        with tempfile.TemporaryDirectory(prefix="medmamba-") as folder:
            file = Path(folder) / "labels.nii.gz"
            prepared = self._predictor.prepare(case, probabilities=True)
            self._predictor.finish(prepared, file, probabilities=True, on_tile=on_tile)
            labels = read_labels(file)
            (npz,) = Path(folder).glob("*.npz")
            with np.load(npz) as content:
                shares = content["probabilities"]
        if not labels.data.any():
            problem = f"{self.name} finds none of its structures in {path}."
            raise DataError(problem, "Is it an image of the kind that the model was trained on?")
        if recipe.turns or shares.shape[1:] != labels.data.shape[::-1]:
            return Segmented(labels, None)
        first = 0 if recipe.has_regions else 1  # regions have no channel for the background
        return Segmented(
            labels,
            tuple(Volume(np.ascontiguousarray(share.T, np.float32), labels.grid, path) for share in shares[first:]),
        )
