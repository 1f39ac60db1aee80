"""Model folders with random weights, as nnU-Net's trainer leaves them: its own commands run them unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..files import write_json
from ..nnunet import checkpoints, plans, presets
from ..nnunet.recipe import make_network

PLAIN = "plain"
CONFIGURATION = "3d_fullres"
_DATASET = "Dataset999_Bench"
_TRAINER = "nnUNetTrainer"
_UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
_WIDEST = 320
"""Most features of a stage of nnU-Net's 3-D networks."""
_SMALLEST = 4
"""Voxels that nnU-Net leaves of each axis of a patch."""
_INTENSITIES = {
    "max": 1300.0, "mean": 33.0, "median": 40.0, "min": -1005.0,
    "percentile_00_5": -170.0, "percentile_99_5": 250.0, "std": 60.0,
}  # fmt: skip
"""Of a CT's foreground: what CTNormalization clips and scales by."""


@dataclass(frozen=True)
class ModelShape:
    """What a made model looks like."""

    channels: tuple[str, ...]
    """Their names; "CT" is normalised as nnU-Net does with CT, any other by its z-score."""
    classes: int
    """With the background."""
    patch: tuple[int, int, int]
    spacing: tuple[float, float, float]
    """mm of the network's voxels, in array order as `patch`."""
    features: int = 32
    """Of the plain network's first stage; each further stage has twice as many, up to ten times."""
    network: str = PLAIN
    """plain: nnU-Net's PlainConvUNet as it plans it for this patch; or the name of one of ours."""


def make_model(results: Path, shape: ModelShape, seed: int = 0) -> Path:
    """Write a model of this shape under nnU-Net's results folder and return TRAINER__PLANS__CONFIGURATION.

    The plans carry the network and the trainer is nnU-Net's own, so `nnUNetv2_predict` needs nothing to be set.
    """
    return write_model(results, made_plans(shape), made_dataset(shape), seed)


def write_model(results: Path, content: Mapping[str, Any], dataset: Mapping[str, Any], seed: int = 0) -> Path:
    """The same with any plans and dataset.json; the network has random weights."""
    folder = results / _DATASET / f"{_TRAINER}__{content['plans_name']}__{CONFIGURATION}"
    write_json(folder / "plans.json", content)
    write_json(folder / "dataset.json", dataset)
    checkpoint = {
        "network_weights": random_weights(content, dataset, seed),
        "optimizer_state": {},
        "grad_scaler_state": None,
        "logging": {},
        "_best_ema": None,
        "current_epoch": 1,
        "init_args": {
            "plans": content, "configuration": CONFIGURATION, "fold": 0, "dataset_json": dataset,
            "device": torch.device("cpu"),
        },
        "trainer_name": _TRAINER,
        "inference_allowed_mirroring_axes": tuple(range(len(content["transpose_forward"]))),
    }  # fmt: skip
    checkpoints.write(folder / "fold_0" / checkpoints.FINAL, checkpoint)
    return folder


def random_weights(content: Mapping[str, Any], dataset: Mapping[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """State dict of the network that plans carry, as its layers begin; always the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_network(content, dataset, CONFIGURATION, _TRAINER).state_dict()


def made_dataset(shape: ModelShape) -> dict[str, Any]:
    """dataset.json of a model."""
    return {
        "channel_names": {str(number): name for number, name in enumerate(shape.channels)},
        "labels": {"background": 0} | {f"label_{value:03d}": value for value in range(1, shape.classes)},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }


def made_plans(shape: ModelShape) -> dict[str, Any]:
    """plans.json of a model, with one configuration."""
    name = "nnUNetPlans"
    configuration = _configuration(shape)
    if shape.network != PLAIN:
        name = presets.plans_name(shape.network)
        arguments = plans.unet_arguments(configuration["architecture"])
        preset = presets.preset(shape.network, presets.DEFAULT)
        configuration = plans.carrying(configuration, shape.network, preset, shape.patch, arguments, 2)
    return {
        "dataset_name": _DATASET,
        "plans_name": name,
        "original_median_spacing_after_transp": list(shape.spacing),
        "original_median_shape_after_transp": list(shape.patch),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(number): dict(_INTENSITIES) for number in range(len(shape.channels))
        },
    }


def _configuration(shape: ModelShape) -> dict[str, Any]:
    schemes = ["CTNormalization" if name == "CT" else "ZScoreNormalization" for name in shape.channels]
    usual = "resample_data_or_seg_to_shape"
    how = {"order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": f"nnUNetPlans_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(shape.patch),
        "median_image_size_in_voxels": [float(size) for size in shape.patch],
        "spacing": list(shape.spacing),
        "normalization_schemes": schemes,
        "use_mask_for_norm": [len(shape.channels) > 1] * len(schemes),
        "resampling_fn_data": usual,
        "resampling_fn_seg": usual,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **how},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **how},
        "resampling_fn_probabilities": usual,
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **how},
        "batch_dice": False,
        "architecture": _unet(shape),
    }


def _unet(shape: ModelShape) -> dict[str, Any]:
    """The topology that nnU-Net plans for a patch with equal spacing: halved while more than 4 voxels would stay."""
    strides = [[1, 1, 1]]
    size = list(shape.patch)
    while max(size) >= 2 * _SMALLEST and len(strides) < 6:
        strides.append([2 if one >= 2 * _SMALLEST and one % 2 == 0 else 1 for one in size])
        size = [one // step for one, step in zip(size, strides[-1], strict=True)]
    stages = len(strides)
    widest = min(_WIDEST, 10 * shape.features)
    return {
        "network_class_name": _UNET,
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(shape.features * 2**stage, widest) for stage in range(stages)],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": strides,
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
