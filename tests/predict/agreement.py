"""Label maps of ours and of nnU-Net's own functions, in one process, from the same files with the same weights."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from numpy.typing import NDArray

from medmamba.bench.predict_labels import TIE, gaps
from medmamba.bench.predict_models import ModelShape, made_dataset, made_plans, write_model
from medmamba.files import write_json
from medmamba.predict.predictor import Predictor

REGIONS = {
    "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]},
    "regions_class_order": [1, 2, 3],
}
LEAST = 0.9999
"""Share of voxels that have the same label in fp32."""


def model(
    results: Path, shape: ModelShape, dataset: dict[str, Any] | None = None, sharpness: float = 1.0, **plans: Any
) -> Path:
    """A model folder; `dataset` and `plans` replace keys of dataset.json and plans.json.

    sharpness: by how much the last layer's weights are multiplied, so that labels differ by more than a rounding.
    """
    content = {**made_plans(shape), **plans}
    folder = write_model(results, content, {**made_dataset(shape), **(dataset or {})}, seed=3)
    if sharpness != 1:
        path = folder / "fold_0/checkpoint_final.pth"
        checkpoint = torch.load(path, weights_only=False)
        for name, value in checkpoint["network_weights"].items():
            if "seg_layers" in name:
                value *= sharpness
        torch.save(checkpoint, path)
    return folder


class Pair:
    """Both predictors with one model."""

    def __init__(self, folder: Path, mirror: bool = False, **ours: Any) -> None:
        self.ours = Predictor(folder, mirror=mirror, device="cpu", **{"precision": "fp32", **ours})
        self.stock = nnUNetPredictor(device=torch.device("cpu"), use_mirroring=mirror, allow_tqdm=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.stock.initialize_from_trained_model_folder(str(folder), (0,))

    def stock_labels(self, files: Sequence[Path], target: Path) -> NDArray[np.float32]:
        """Write nnU-Net's label map and give its probabilities (heads, z, y, x)."""
        predictor = self.stock
        plans, configuration, dataset = predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json
        preprocessor = configuration.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case([str(file) for file in files], None, plans, configuration, dataset)
        with torch.inference_mode():
            logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
        labels, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, plans, configuration, predictor.label_manager, properties, True, torch.get_num_threads()
        )
        plans.image_reader_writer_class().write_seg(labels, str(target), properties)
        return np.asarray(probabilities)

    def check(self, files: Sequence[Path], folder: Path, given: Path | None = None) -> None:
        """Both predict a case; label maps must lie on the same grid and be the same but for ties.

        given: what ours reads instead of `files`, such as the DICOM series that they were made from.
        """
        folder.mkdir(parents=True, exist_ok=True)
        theirs = folder / "theirs.nii.gz"
        probabilities = self.stock_labels(files, theirs)
        write_json(folder / "list.json", [[str(file) for file in files]])
        (ours,) = self.ours.segment(given if given is not None else folder / "list.json", folder / "ours")
        images = sitk.ReadImage(str(theirs)), sitk.ReadImage(str(ours))
        for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(images[1], name)() == _close(getattr(images[0], name)()), name
        wanted, found = (sitk.GetArrayFromImage(image) for image in images)
        assert len(np.unique(wanted)) > 1, "a label map of background alone shows nothing"
        assert found.dtype == wanted.dtype
        distances = self._distances(probabilities, wanted, found)
        assert distances.max(initial=0) < TIE, f"{(distances >= TIE).sum()} voxels differ that are no ties"
        assert len(distances) <= (1 - LEAST) * wanted.size, f"{len(distances)} of {wanted.size} voxels differ"

    def _distances(self, probabilities: NDArray[Any], wanted: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
        """How far from a tie each differing voxel is: of its two labels, or of the nearest region to its threshold."""
        if not self.stock.label_manager.has_regions:
            return gaps(probabilities, wanted, found)
        inside = np.clip(probabilities[:, wanted != found].astype(np.float64), 1e-7, 1 - 1e-7)
        return np.abs(np.log(inside / (1 - inside))).min(0)


def _close(values: tuple[float, ...]) -> Any:
    import pytest

    return pytest.approx(values, abs=1e-5)


def oriented(
    image: sitk.Image, axes: Sequence[int], flips: Sequence[bool], turn: NDArray[Any] | None = None
) -> sitk.Image:
    """The same voxels at the same places in the patient, stored with permuted and flipped axes; then turned."""
    moved = sitk.Flip(sitk.PermuteAxes(image, [int(axis) for axis in axes]), [bool(flip) for flip in flips])
    if turn is not None:
        direction = turn @ np.array(moved.GetDirection()).reshape(3, 3)
        moved.SetDirection(direction.ravel().tolist())
    return moved
