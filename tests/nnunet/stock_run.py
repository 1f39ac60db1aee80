"""Folds of stock nnU-Net's own trainer, with weights that were not trained."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from medmamba.files import read_json, write_json
from medmamba.nnunet import host
from medmamba.nnunet.checkpoints import FINAL


def small_plans(workplace: Path, dataset: str) -> dict[str, Any]:
    """The dataset's stock plans with a small patch and network, as a cascade and without."""
    plans = read_json(workplace / "preprocessed" / dataset / "nnUNetPlans.json")
    fine = deepcopy(plans["configurations"]["3d_fullres"])
    arguments = {"n_stages": 2, "features_per_stage": [4, 8], "kernel_sizes": [[3, 3, 3]] * 2}
    strides = {"strides": [[1, 1, 1], [2, 2, 2]], "n_conv_per_stage": [1, 1], "n_conv_per_stage_decoder": [1]}
    fine["architecture"]["arch_kwargs"].update(**arguments, **strides)
    fine["patch_size"] = [16, 16, 16]
    coarse = {**fine, "next_stage": "3d_cascade_fullres"}
    cascade = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    plans["configurations"] = {"3d_fullres": fine, "3d_lowres": coarse, "3d_cascade_fullres": cascade}
    return plans


def stock_fold(plans: dict[str, Any], configuration: str = "3d_fullres", fold: int = 0, seed: int = 0) -> Any:
    """A trainer whose fold folder has a final checkpoint, with plans.json and dataset.json above it."""
    torch.manual_seed(seed)
    dataset = read_json(host.folder("nnUNet_preprocessed") / plans["dataset_name"] / "dataset.json")
    with host.muted():
        trainer = nnUNetTrainer(
            {**deepcopy(plans), "continue_training": False}, configuration, fold, dataset, torch.device("cpu")
        )
        trainer.enable_deep_supervision = False
        trainer.initialize()
        trainer.inference_allowed_mirroring_axes = (0, 1, 2)
        trainer.save_checkpoint(str(Path(trainer.output_folder) / FINAL))
    base = Path(trainer.output_folder_base)
    write_json(base / "plans.json", plans)
    write_json(base / "dataset.json", dataset)
    return trainer
