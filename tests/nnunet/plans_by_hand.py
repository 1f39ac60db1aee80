"""Plans and dataset.json as nnU-Net writes them, of every kind, for models that are never trained."""

from copy import deepcopy
from typing import Any

_USUAL = "resample_data_or_seg_to_shape"
_STAGES = 3
INTENSITIES = {
    str(channel): {
        "mean": 40.0 + channel,
        "std": 12.0,
        "min": -900.0,
        "max": 900.0,
        "median": 38.0,
        "percentile_00_5": -80.0,
        "percentile_99_5": 160.0,
    }
    for channel in range(3)
}


def architecture(dims: int = 3, network: str = "PlainConvUNet") -> dict[str, Any]:
    """A small U-Net of nnU-Net's."""
    blocks = "n_blocks_per_stage" if network == "ResidualEncoderUNet" else "n_conv_per_stage"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{network}",
        "arch_kwargs": {
            "n_stages": _STAGES,
            "features_per_stage": [8, 16, 16],
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": [[3] * dims] * _STAGES,
            "strides": [[1] * dims, [2] * dims, [2] * dims],
            blocks: [1] * _STAGES,
            "n_conv_per_stage_decoder": [1] * (_STAGES - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def configuration(dims: int = 3, channels: int = 1, **changes: Any) -> dict[str, Any]:
    """One configuration of plans."""
    content: dict[str, Any] = {
        "data_identifier": "nnUNetPlans",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [16, 24, 16][:dims],
        "median_image_size_in_voxels": [20.0, 30.0, 20.0][:dims],
        "spacing": [1.0, 0.8, 0.7][:dims],
        "normalization_schemes": ["ZScoreNormalization"] * channels,
        "use_mask_for_norm": [False] * channels,
        "batch_dice": False,
        "architecture": architecture(dims),
    }
    for kind, is_seg, order in (("data", False, 3), ("seg", True, 1), ("probabilities", False, 1)):
        content[f"resampling_fn_{kind}"] = _USUAL
        content[f"resampling_fn_{kind}_kwargs"] = {
            "is_seg": is_seg,
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    return {**deepcopy(content), **changes}


def plans(channels: int = 1, **changes: Any) -> dict[str, Any]:
    """Plans with a configuration of slices, a low-resolution stage, a full one and a cascade."""
    full = configuration(channels=channels)
    content = {
        "dataset_name": "Dataset900_Made",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 0.8, 0.7],
        "original_median_shape_after_transp": [20, 30, 20],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": INTENSITIES,
        "configurations": {
            "2d": configuration(2, channels),
            "3d_lowres": {**deepcopy(full), "spacing": [2.0, 1.6, 1.4], "next_stage": "3d_cascade_fullres"},
            "3d_fullres": full,
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
    }
    return {**content, **changes}


def dataset(channels: int = 1, **changes: Any) -> dict[str, Any]:
    """A dataset.json with two labels."""
    names = {str(channel): f"MR{channel}" for channel in range(channels)}
    labels = {"background": 0, "shell": 1, "core": 2}
    return {"channel_names": names, "labels": labels, "numTraining": 3, "file_ending": ".nii.gz", **changes}
