"""Label files and metrics.json folders for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from medmamba.evaluate.folder import evaluate_folder
from medmamba.evaluate.targets import rules_of

RULES = rules_of({"labels": {"background": 0, "one": 1, "two": 2}})


def save(path: Path, values: Any, spacing: tuple[float, ...] = (1, 1, 1), origin: float = 0.0) -> Path:
    """`values` (z, y, x), or few that are put into a grid of (1, 2, n)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(values)
    image = sitk.GetImageFromArray((array if array.ndim > 1 else array.reshape(1, 2, -1)).astype(array.dtype))
    image.SetSpacing(spacing[: image.GetDimension()])
    image.SetOrigin((origin, *[0] * (image.GetDimension() - 1)))
    sitk.WriteImage(image, str(path))
    return path


def small(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint8)


def run_folder(folder: Path, cases: int, flips: float, seed: int = 0, first: int = 0) -> Path:
    """A scored run: references with two labels, predictions in which a share of the voxels is turned to background."""
    for number in range(first, first + cases):
        truth = np.random.default_rng(number).integers(0, 3, (4, 6, 6)).astype(np.uint8)
        wrong = np.random.default_rng((seed, number)).random(truth.shape) < flips
        save(folder / "ref" / f"c{number:02d}.nii.gz", truth)
        save(folder / "pred" / f"c{number:02d}.nii.gz", np.where(wrong, 0, truth).astype(np.uint8))
    evaluate_folder(folder / "pred", folder / "ref", RULES, jobs=1).write(folder)
    return folder
