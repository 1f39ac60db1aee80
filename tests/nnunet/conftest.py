"""A tiny dataset with blobs, preprocessed once, and nnU-Net's folders around it."""

import json
import multiprocessing
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.nnunet.loop.reports import EpochReport
from medmamba.nnunet.preparation import preprocess
from medmamba.nnunet.training import train
from tests.nnunet.small_runs import PLAIN, REGIONS, Reports, options

CASES = 5
LABELS = {
    PLAIN: {"labels": {"background": 0, "shell": 1, "core": 2}},
    REGIONS: {"labels": {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}, "regions_class_order": [1, 2]},
}


def write_dataset(raw: Path, number: int) -> None:
    """A raw dataset of cubes of 16x20x20 voxels with a core; with an ignored corner where the labels know one."""
    folder = raw / f"Dataset{number}_Blobs"
    random = np.random.default_rng(number)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for case in range(CASES):
        labels = np.zeros((16, 20, 20), np.uint8)
        labels[4:12, 4:15, 5:15], labels[6:10, 7:12, 8:12] = 1, 2
        if "ignore" in LABELS[number]["labels"]:
            labels[:3, :3, :3] = 3
        image = labels * 50.0 + random.normal(0, 5, labels.shape)
        sitk.WriteImage(sitk.GetImageFromArray(image.astype(np.float32)), str(folder / f"imagesTr/c{case}_0000.nii.gz"))
        sitk.WriteImage(sitk.GetImageFromArray(labels), str(folder / f"labelsTr/c{case}.nii.gz"))
    content = {**LABELS[number], "channel_names": {"0": "MRI"}, "numTraining": CASES, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """nnU-Net's three folders, set in the environment, with both datasets preprocessed for 3d_fullres."""
    place = tmp_path_factory.mktemp("nnunet")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("raw", "preprocessed", "results"):
            patch.setenv(f"nnUNet_{name}", str(place / name))
            (place / name).mkdir()
        patch.setenv("nnUNet_def_n_proc", "1")
        for number in (PLAIN, REGIONS):
            write_dataset(place / "raw", number)
            preprocess(number, configurations=["3d_fullres"], processes=1, verify=number == PLAIN)
        yield place


@pytest.fixture(scope="session")
def processes(workplace: Path) -> Any:
    """Processes that start quickly: a server has imported everything and forks them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["medmamba.nnunet.training", "tests.nnunet.test_survival", "tests.nnunet.loop.test_ranks"]
    )
    return context


@pytest.fixture(scope="session")
def run(workplace: Path) -> tuple[Path, list[EpochReport]]:
    reports: list[EpochReport] = []
    return train(PLAIN, options(), [Reports(reports)]), reports


STAGES = 4
_CONFIGURATION = {
    "data_identifier": "nnUNetPlans_3d_fullres",
    "batch_size": 2,
    "patch_size": [40, 56, 40],
    "median_image_size_in_voxels": [35.0, 50.0, 35.0],
    "spacing": [1.0, 1.0, 1.0],
    "batch_dice": False,
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": STAGES,
            "features_per_stage": [8, 16, 16, 16],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * STAGES,
            "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]],
            "n_conv_per_stage": [2] * STAGES,
            "n_conv_per_stage_decoder": [2] * (STAGES - 1),
        },
        "_kw_requires_import": ["conv_op"],
    },
}


def _changed(**values: Any) -> dict[str, Any]:
    return {**deepcopy(_CONFIGURATION), **values}


@pytest.fixture
def stock_plans() -> dict[str, Any]:
    """Plans as nnU-Net's planner writes them, with every kind of configuration."""
    flat = _changed(patch_size=[40, 56], spacing=[1.0, 1.0], median_image_size_in_voxels=[35.0, 50.0])
    flat["architecture"]["arch_kwargs"].update(kernel_sizes=[[3, 3]] * STAGES, strides=[[1, 1]] + [[2, 2]] * 3)
    return {
        "dataset_name": "Dataset900_Fake",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "configurations": {
            "2d": flat,
            "3d_lowres": _changed(next_stage="3d_cascade_fullres", data_identifier="nnUNetPlans_3d_lowres"),
            "3d_fullres": _changed(),
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
    }


@pytest.fixture
def anisotropic_plans(stock_plans: dict[str, Any]) -> dict[str, Any]:
    """Thick slices: nnU-Net pools the first axis less often."""
    configuration = _changed(patch_size=[12, 32, 32], spacing=[4.0, 1.0, 1.0])
    strides = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2]]
    configuration["architecture"]["arch_kwargs"].update(strides=strides, kernel_sizes=[[1, 3, 3]] + [[3, 3, 3]] * 3)
    return {**stock_plans, "configurations": {"3d_fullres": configuration}}
