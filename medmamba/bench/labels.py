"""Whether the CPU engine gives the labels that torch gives: a trained model on real images, voxel by voxel."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..predict.predictor import Predictor

FORMS = (("torch fp32", False, "fp32"), ("engine fp32", True, "fp32"), ("engine bf16", True, "bf16"))
"""Name, whether the engine runs, number format; the first is what the others are held against."""


@dataclass(frozen=True)
class Agreement:
    """One form against torch fp32 over all images."""

    form: str
    seconds: float
    """Of the whole prediction: reading, preprocessing, sliding window, export."""
    mean: float
    """Share of voxels with the same label, averaged over the images."""
    lowest: float
    foreground: float
    """The same of those voxels that either form calls foreground, over all images."""
    images: int

    def as_json(self) -> dict[str, Any]:
        """The row for a JSON list."""
        return asdict(self)


def compare(
    model: Path, images: Path | Sequence[Path], mirror: bool, tell: Callable[[str], None] = lambda text: None
) -> list[Agreement]:
    """Predict the images in every form of `FORMS` and compare the label maps; errors are those of `Predictor`."""
    with tempfile.TemporaryDirectory() as temporary:
        maps: dict[str, list[np.ndarray]] = {}
        rows = []
        for name, engine, precision in FORMS:
            tell(name)
            started = time.perf_counter()
            predictor = Predictor(model, mirror=mirror, device="cpu", engine=engine, precision=precision)
            files = predictor.segment(images, Path(temporary, name))
            seconds = time.perf_counter() - started
            maps[name] = [sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in files]
            rows.append(_agreement(name, seconds, maps[name], maps[FORMS[0][0]]))
        return rows


def _agreement(name: str, seconds: float, maps: list[np.ndarray], wanted: list[np.ndarray]) -> Agreement:
    same = [a == b for a, b in zip(maps, wanted, strict=True)]
    either = [(a > 0) | (b > 0) for a, b in zip(maps, wanted, strict=True)]
    shares = [float(np.mean(one)) for one in same]
    covered = sum(int(one.sum()) for one in either)
    hit = sum(int((one & where).sum()) for one, where in zip(same, either, strict=True))
    return Agreement(name, seconds, float(np.mean(shares)), min(shares), hit / covered if covered else 1.0, len(maps))
