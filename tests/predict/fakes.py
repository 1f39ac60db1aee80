"""A predictor without a network: real files in, thresholds out, as slow as it is told to be."""

import os
import signal
import threading
import time
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from torch import nn

from medmamba.predict.files.cases import Case
from medmamba.predict.files.images import Image, read
from medmamba.predict.files.segmentation import write_segmentation
from medmamba.predict.files.writing import SEGMENTATION, write_labels
from medmamba.predict.recipe import LoadedModel, Recipe, Resampling

TILES = 4
RECIPE = Recipe(
    channels=("MRI",),
    file_ending=".nii.gz",
    reader="itk",
    transpose_forward=(0, 1, 2),
    transpose_backward=(0, 1, 2),
    spacing=(1.0, 1.0, 1.0),
    patch_size=(8, 8, 8),
    normalizers=(lambda image, mask: image,),
    resample_image=Resampling(),
    resample_logits=Resampling(1),
    resample_labels=Resampling(1),
    labels={"background": 0, "shell": 1, "core": 2},
    heads=3,
    regions_class_order=None,
    foreground=(1, 2),
    mirror_axes=(0, 1, 2),
    configuration="3d_fullres",
)


def model(**changes: Any) -> LoadedModel:
    """A model whose network is never asked."""
    given: dict[str, Any] = {"digest": "sha256:00", "precision": None, "trainer": "nnUNetTrainer", **changes}
    return LoadedModel(RECIPE, nn.Identity(), ({},), ("0",), {"plans_name": "P"}, {"labels": {}}, "fake", **given)


@dataclass(frozen=True)
class Notes:
    """What a predictor says of a case."""

    labels: tuple[int, ...]
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.1, "network": 0.2})
    warnings: tuple[str, ...] = ()
    gpu_memory: int | None = None


class FakePredictor:
    """Labels 1 where the image is above 50, 2 above 100; the probabilities come from the case's name."""

    def __init__(self, seconds: float = 0.0, room: bool = True, **changes: Any) -> None:
        self.model, self.seconds, self.room = model(**changes), seconds, room
        self.told: list[str] = []
        self.in_network: str | None = None
        self.together: list[tuple[str | None, str]] = []
        """(case in the network, case that is prepared at that time)."""
        self.on_tile: Callable[[str, int], None] = lambda case, tile: None

    def description(self) -> dict[str, Any]:
        return {"device": "cpu", "precision": "fp32", "reason": "there is no network", "step_size": 0.5}

    def ahead(self, case: Case) -> bool:
        return self.room

    def prepare(self, case: Case, probabilities: bool = False) -> tuple[Case, Image]:
        time.sleep(self.seconds / 10)  # the other thread is in the network by now, if it goes there at all
        self.together.append((self.in_network, case.name))
        return case, read(case, self.model.recipe)

    def finish(
        self,
        prepared: tuple[Case, Image],
        file: Path,
        probabilities: bool = False,
        on_tile: Callable[[int, int], None] | None = None,
        roi: Collection[int] | None = None,
        raw_labels: bool = False,
    ) -> Notes:
        case, image = prepared
        self.in_network = case.name
        for tile in range(1, TILES + 1):
            time.sleep(self.seconds / TILES)
            self.on_tile(case.name, tile)
            if on_tile is not None:
                on_tile(tile, TILES)
        labels = (image.data[0] > 50).astype(np.uint8) + (image.data[0] > 100)
        if probabilities:
            random = np.random.default_rng(zlib.crc32(case.name.encode()))
            stem = file.with_name(case.name)
            np.savez_compressed(f"{stem}.npz", probabilities=random.random((3, *labels.shape), np.float32))
            stem.with_name(f"{stem.name}.pkl").write_bytes(b"properties")
        if file.suffix == SEGMENTATION:
            write_segmentation(labels, image.geometry, file, self.model, roi)
        else:
            write_labels(labels, image.geometry, file, self.model.label_map if raw_labels else None, roi)
        self.in_network = None
        self.told.append(case.name)
        return Notes(tuple(int(value) for value in np.unique(labels) if value))


@dataclass(frozen=True)
class FakeMaker:
    """Makes fakes in other processes; the process that first gets `deadly` is killed, `times` times in all."""

    notes: Path
    deadly: str = ""
    times: int = 1
    seconds: float = 0.0

    def predictor(self) -> FakePredictor:
        fake = FakePredictor(self.seconds)
        fake.on_tile = self._tile
        return fake

    def _tile(self, case: str, tile: int) -> None:
        (self.notes / f"{case}-{os.getpid()}-{threading.get_ident()}").touch()
        deaths = len(list(self.notes.glob("death*")))
        if case == self.deadly and tile == TILES // 2 and deaths < self.times:
            (self.notes / f"death{deaths}").touch()
            os.kill(os.getpid(), signal.SIGKILL)


def write_images(folder: Path, names: Sequence[str], size: tuple[int, int, int] = (6, 8, 10)) -> list[Path]:
    """Noise with known seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in names:
        values = np.random.default_rng(zlib.crc32(name.encode())).normal(60, 40, size).astype(np.float32)
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((0.7, 0.8, 2.5))
        files.append(folder / f"{name}_0000.nii.gz")
        sitk.WriteImage(image, str(files[-1]))
    return files
