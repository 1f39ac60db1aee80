"""A trained model that segments images, from Python as from the command line."""

import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import runtime
from ..engine import reuse_memory
from ..errors import ConfigError, DataError
from .arrays import export
from .arrays.labels import values_of
from .arrays.preprocess import Place, preprocess
from .arrays.scratch import let_go
from .arrays.window import OnTile, Tally, slabs
from .budget import Estimate, Plan
from .files import images
from .files.cases import Case
from .files.headers import Header
from .files.properties import write_properties
from .files.segmentation import write_segmentation
from .files.writing import SEGMENTATION, OutputFormat, write_labels
from .memory import Memory
from .recipe import LoadedModel, Recipe
from .runner import Runner
from .sizes import parse_size
from .stages import CaseNotes, Prepared, Seconds

if TYPE_CHECKING:
    from .batch.run import Watcher

_FAST_STEP = 0.75


class Predictor:
    """Segments images with a trained model: nnU-Net's mathematics, slab by slab, within a memory ceiling.

    Parameters
    ----------
    model: what `loading.load` takes, or what it returned.
    folds, checkpoint: which weights are averaged, where `model` is not loaded yet.
    step_size: distance of neighbouring windows in patches.
    mirror: average over mirrored tiles, along the axes the model was trained with.
    device, precision, engine: see `runner.Runner`; device "auto" takes a GPU where there is one.
    max_ram: bytes, or text such as "6G", that the process stays below; None: what the machine has free.
    max_vram: the same for the GPU.
    fast: one fold, no mirroring and steps of three quarters of a patch: a small loss of quality for much less work.
    scratch: folder for what the ceiling leaves no memory for; None: the system's folder for temporary files.
    uid_seed: for DICOM segmentations that are equal, identifiers included, when all else is; None: new identifiers.

    Without `max_ram` the process keeps what it frees for what comes next, which a CPU's network profits from.

    >>> Predictor("nnUNetTrainer__nnUNetPlans__3d_fullres").predict(volume, (1.0, 0.8, 0.8))  # doctest: +SKIP
    """

    memory: Memory
    """Keeps it within its ceilings."""

    def __init__(
        self,
        model: LoadedModel | str | Path,
        *,
        folds: Sequence[int | str] | None = None,
        checkpoint: str = "checkpoint_final.pth",
        step_size: float = 0.5,
        mirror: bool = True,
        device: str = "auto",
        precision: str = "auto",
        engine: bool = True,
        max_ram: int | str | None = None,
        max_vram: int | str | None = None,
        fast: bool = False,
        scratch: Path | None = None,
        uid_seed: int | None = None,
    ) -> None:
        if not 0 < step_size <= 1:
            raise ConfigError(f"A step size of {step_size} is not possible.", "Use one above 0 and at most 1.")
        if not isinstance(model, LoadedModel):
            from .loading import load

            model = load(model, folds, checkpoint)
        if fast:
            model = replace(model, weights=model.weights[:1], folds=model.folds[:1])
        self.model, self.fast, self.uid_seed = model, fast, uid_seed
        how: dict[str, Any] = {"mirror": mirror, "precision": precision, "engine": engine, "fast": fast}
        limits: dict[str, Any] = {"max_ram": max_ram, "max_vram": max_vram}
        self.step_size = max(step_size, _FAST_STEP) if fast else step_size
        ram, vram = (None if size is None else parse_size(size) for size in (max_ram, max_vram))
        self.scratch = Path(tempfile.gettempdir() if scratch is None else scratch)
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.device = runtime.device(device)
        if ram is None and engine and self.device.type == "cpu":
            reuse_memory()
        self.runner = Runner(model, self.device, precision, engine, mirror and not fast)
        self.earlier: Predictor | None = None
        if model.previous is not None:
            self.earlier = Predictor(
                model.previous, step_size=step_size, device=device, scratch=scratch, **how, **limits
            )
        before = None if self.earlier is None else self.earlier.memory
        self.memory = Memory(model, self.runner, self.step_size, ram, vram, before)

    @property
    def recipe(self) -> Recipe:
        """How the model treats images."""
        return self.model.recipe

    def description(self) -> dict[str, Any]:
        """What the network runs on and how, as plain values."""
        runner = self.runner
        return {
            "device": str(self.device),
            "precision": runner.precision.name,
            "reason": runner.precision.reason,
            "engine": runner.describe(),
            "folds": list(self.model.folds),
            "step_size": self.step_size,
            "mirror_axes": list(runner.axes),
            "fast": self.fast,
            "max_ram": self.memory.max_ram,
            "max_vram": self.memory.max_vram,
            **({} if self.uid_seed is None else {"uid_seed": self.uid_seed}),
        }

    def estimate(self, header: Header, probabilities: bool = False) -> Estimate:
        """What a case of this header takes in memory; without a ceiling and with plenty to spare, more than that.

        probabilities: they are written too.
        """
        return self.memory.estimate(header, probabilities)

    def plan(self, header: Header, name: str, probabilities: bool = False) -> tuple[Estimate, Plan]:
        """The estimate and the fastest way that stays within the ceiling. Raises SetupError when there is none."""
        return self.memory.plan(header, name, probabilities)

    def ahead(self, case: Case) -> bool:
        """Whether there is memory to prepare this case while the one in hand is in the network."""
        return self.memory.has_room_for(case)

    def prepare(self, case: Case, probabilities: bool = False) -> Prepared:
        """Read, check and preprocess a case; in any thread. Nothing is read if it takes too much memory.

        probabilities: whether `finish` will be asked for them, which takes more of it.

        Raises DataError for an image that cannot be used, SetupError for one that is too large.
        """
        started = time.perf_counter()
        prepared = self.memory.admit(case, probabilities)
        image = images.read(case, self.recipe)
        prepared.seconds.add({"read": time.perf_counter() - started})
        prepared.spacing, prepared.geometry, prepared.warnings = image.spacing, image.geometry, image.warnings
        self._preprocess(prepared, image.data)
        return prepared

    def _preprocess(self, prepared: Prepared, image: NDArray[np.float32]) -> None:
        """Make the image, which is overwritten, ready for the network; for a cascade's earlier one to begin with."""
        if self.earlier is not None:
            earlier = replace(prepared)  # the same notes
            self.earlier._preprocess(earlier, image.copy())
            prepared.previous, prepared.image = earlier, image
            return
        self._to_network_grid(prepared, image)

    def _to_network_grid(
        self, prepared: Prepared, image: NDArray[np.float32], previous: NDArray[Any] | None = None
    ) -> None:
        with prepared.seconds.of("preprocess"):
            scratch = self.scratch if prepared.plan.data_on_disk else None
            prepared.data, prepared.place = preprocess(image, prepared.spacing, self.recipe, previous, scratch)
            let_go(prepared.data)

    def finish(
        self,
        prepared: Prepared,
        file: Path,
        probabilities: bool = False,
        on_tile: OnTile | None = None,
        roi: Collection[int] | None = None,
        raw_labels: bool = False,
    ) -> CaseNotes:
        """Run the network, and write the label map into `file`; as a DICOM segmentation when it ends in .dcm.

        Parameters
        ----------
        prepared: of `prepare`; its arrays are let go.
        probabilities: also write CASE.npz and CASE.pkl beside the file, as nnU-Net does.
        on_tile: called with (tiles done, tiles in all); may raise, which ends the case.
        roi: label values to keep, of `writing.roi_values`.
        raw_labels: write the dataset's own label values.
        """
        if prepared.geometry is None:
            raise ConfigError("This case was made from an array, which has no place for a file.", "Use predict().")
        stem = file.with_name(prepared.name)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        tally, geometry = Tally(), prepared.geometry
        npz = stem.with_name(f"{stem.name}.npz") if probabilities else None
        try:
            labels, place = self._labels(prepared, tally, on_tile, npz)
            with prepared.seconds.of("write"):
                if probabilities:
                    write_properties(stem.with_name(f"{stem.name}.pkl"), place, geometry, self.recipe)
                if file.suffix == SEGMENTATION:
                    write_segmentation(labels, geometry, file, self.model, roi, self.uid_seed)
                else:
                    write_labels(labels, geometry, file, self.model.label_map if raw_labels else None, roi)
        finally:
            self.memory.in_hand.remove(prepared)
        found = values_of(labels)
        fallbacks = tuple(f"The GPU's memory was not enough: {what}." for what in tally.fallbacks)
        return CaseNotes(
            seconds=dict(prepared.seconds),
            tiles=tally.tiles,
            uniform_tiles=tally.uniform,
            warnings=(*prepared.warnings, *fallbacks, *self.runner.notes),
            labels=tuple(value for value in found if value and (roi is None or value in roi)),
            gpu_memory=torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None,
            plan=str(prepared.plan),
            estimate=prepared.estimate.peak(prepared.plan),
        )

    def _labels(
        self, prepared: Prepared, tally: Tally, on_tile: OnTile | None, npz: Path | None = None
    ) -> tuple[NDArray[Any], Place]:
        """The label map (z, y, x) of a prepared case."""
        if self.earlier is not None:
            assert prepared.previous is not None and prepared.image is not None
            earlier, _ = self.earlier._labels(prepared.previous, tally, on_tile)
            prepared.previous = None
            self._to_network_grid(prepared, prepared.image, earlier)
            prepared.image = None
        data, place = prepared.data, prepared.place
        assert data is not None and place is not None, "a case is finished once"
        if npz is not None:
            self.memory.leave_room_for_probabilities(prepared, place)
        prepared.data = None
        memory = self.memory.of_window(prepared, self.scratch)
        parts = slabs(data, self.runner, self.recipe, self.step_size, memory, on_tile, tally, prepared.name)
        scratch = self.scratch if prepared.plan.sums_on_disk else None
        own = Seconds()
        with own.of("export"):
            labels = export.label_map(own.waiting("network", parts), self.recipe, place, npz, scratch)
        own["export"] -= own["network"]
        prepared.seconds.add(own)
        return labels, place

    def predict(
        self, image: NDArray[Any], spacing: Sequence[float], on_tile: OnTile | None = None
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The label map (z, y, x) of an image in memory.

        Parameters
        ----------
        image: (C, z, y, x), axes as nnU-Net's reader gives them; left as it is. spacing: mm, (z, y, x).

        Raises DataError for an array that the model cannot take, SetupError for one that is too large.
        """
        channels = len(self.recipe.channels)
        if image.ndim != 4 or len(image) != channels:
            raise DataError(
                f"An image of shape {image.shape} is not ({channels}, z, y, x).",
                f"The model takes {channels} channel(s): {', '.join(self.recipe.channels)}.",
            )
        if not np.isfinite(image).all():
            raise DataError("The image has voxels that are not finite.", "Replace NaN and infinity first.")
        depth, height, width = image.shape[1:]
        z, y, x = map(float, spacing)
        header = Header((depth, height, width), (z, y, x), channels)
        prepared = Prepared("the image", *self.plan(header, "the image"))
        prepared.spacing = (z, y, x)
        self._preprocess(prepared, np.array(image, np.float32))
        return self._labels(prepared, Tally(), on_tile)[0]

    def segment(
        self,
        images: str | Path | Sequence[str | Path | Sequence[str | Path]],
        output: str | Path,
        *,
        resume: bool = False,
        save_probabilities: bool = False,
        jobs: int = 1,
        roi: Collection[str] | None = None,
        raw_labels: bool = False,
        output_format: OutputFormat = "auto",
        watcher: "Watcher | None" = None,
    ) -> list[Path]:
        """Segment image files, or folders of them, into a folder; returns the label maps, one a case.

        See `cases.find_cases` for what `images` may be and `batch.run` for the rest. Raises BatchError at the end when
        single cases failed.
        """
        from .batch.run import run
        from .files.cases import find_cases

        cases = find_cases(images, self.recipe)
        how: dict[str, Any] = {"resume": resume, "save_probabilities": save_probabilities, "jobs": jobs}
        how |= {"roi": None if roi is None else tuple(roi), "raw_labels": raw_labels, "watcher": watcher}
        how["output_format"] = output_format
        return run(self, cases, Path(output), **how).written
