"""Model folders with a cross-validation whose predictions are made from the references: no network, known quality."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray

from medmamba.files import read_json, write_json
from medmamba.nnunet.folds.held_out import validation_cases
from medmamba.nnunet.model import write_probabilities
from tests.nnunet.small_runs import PLAIN

FOLDS = range(5)
Spoil = Callable[[str, NDArray[Any]], NDArray[Any]]
"""(case, label map) -> a worse one."""


def made_model(
    workplace: Path,
    results: Path,
    plans_name: str,
    spoil: Spoil,
    number: int = PLAIN,
    trainer: str = "nnUNetTrainer",
    probabilities: bool = True,
    stamp: dict[str, str] | None = None,
) -> Path:
    """Write `results`/Dataset.../TRAINER__PLANS__3d_fullres with five folds of one held-out case each."""
    dataset_name = f"Dataset{number}_Blobs"
    place = workplace / "preprocessed" / dataset_name
    plans = {**read_json(place / "nnUNetPlans.json"), "plans_name": plans_name}
    if stamp:
        plans["medmamba"] = stamp
    model = results / dataset_name / f"{trainer}__{plans_name}__3d_fullres"
    dataset = read_json(place / "dataset.json")
    write_json(model / "plans.json", deepcopy(plans))
    write_json(model / "dataset.json", dataset)
    manager = PlansManager(plans)
    labels = manager.get_label_manager(dataset)
    for fold in FOLDS:
        folder = model / f"fold_{fold}" / "validation"
        folder.mkdir(parents=True)
        (folder.parent / "checkpoint_final.pth").touch()
        for case in validation_cases(manager, "3d_fullres", fold):
            truth, properties = SimpleITKIO().read_seg(str(place / "gt_segmentations" / f"{case}.nii.gz"))
            truth = np.where(truth[0] == labels.ignore_label, 0, truth[0]) if labels.has_ignore_label else truth[0]
            label_map = spoil(case, truth.astype(np.uint8))
            SimpleITKIO().write_seg(label_map, str(folder / f"{case}.nii.gz"), properties)
            if probabilities:
                write_probabilities(folder / case, _probabilities(label_map, truth, labels), properties)
    return model


def _probabilities(label_map: NDArray[Any], truth: NDArray[Any], labels: Any) -> NDArray[np.float32]:
    """0.8 for the label or region that is there, 0.5 where that is wrong; nnU-Net's (classes or regions, *size)."""
    targets = labels.foreground_regions if labels.has_regions else labels.all_labels
    sure = np.where(label_map == truth, 0.8, 0.5)
    rest = (1 - sure) / (1 if labels.has_regions else len(targets) - 1)
    return np.stack([np.where(np.isin(label_map, target), sure, rest) for target in targets]).astype(np.float32)


def noise(share: float, seed: int) -> Spoil:
    """Give this share of the voxels a random label."""

    def spoil(case: str, label_map: NDArray[Any]) -> NDArray[Any]:
        random = np.random.default_rng([seed, *case.encode()])
        wrong = random.random(label_map.shape) < share
        return np.where(wrong, random.integers(0, 3, label_map.shape), label_map).astype(np.uint8)

    return spoil


def islands(label: int) -> Spoil:
    """Add a block of a label far from the rest."""

    def spoil(case: str, label_map: NDArray[Any]) -> NDArray[Any]:
        changed = label_map.copy()
        changed[-2:, -3:, -3:] = label
        return changed

    return spoil
