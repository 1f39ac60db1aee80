"""What a single file of weights does not say: which images it takes. From that, plans as nnU-Net would have written."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError

_NORMALIZATIONS = {
    "zscore": ("ZScoreNormalization", False),
    "zscore-nonzero": ("ZScoreNormalization", True),
    "rescale01": ("RescaleTo01Normalization", False),
    "rgb01": ("RGBTo01Normalization", False),
    "none": ("NoNormalization", False),
}
"""--normalization -> nnU-Net's class, and whether voxels of value 0 are left out."""
_INTENSITIES = {"mean": 0.0, "std": 1.0, "min": 0.0, "max": 0.0, "median": 0.0, "percentile_00_5": 0.0,
                "percentile_99_5": 0.0}  # fmt: skip


@dataclass(frozen=True)
class Images:
    """The images that a network was trained on."""

    channels: Sequence[str] = ()
    labels: Sequence[str] = ()
    """Names of labels 1, 2, ..."""
    spacing: Sequence[float] | None = None
    """mm, slowest axis first."""
    patch_size: Sequence[int] | None = None
    normalization: str = "zscore"
    mirror: bool = False
    plans: Mapping[str, Any] | None = None
    """nnU-Net's, instead of all of the above."""
    dataset: Mapping[str, Any] | None = None
    configuration: str = "3d_fullres"


def plans_of(images: Images, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """nnU-Net's plans and dataset.json: as given, else of what was said. ConfigError names what was not."""
    if images.plans is not None and images.dataset is not None:
        return deepcopy(dict(images.plans)), dict(images.dataset)
    wanted = {"--channels": images.channels, "--labels": images.labels, "--spacing": images.spacing}
    missing = [option for option, value in {**wanted, "--patch-size": images.patch_size}.items() if not value]
    if missing or images.patch_size is None or images.spacing is None:
        raise ConfigError(
            f"A file of weights does not say what images it takes; {', '.join(missing)} is missing.",
            "Give these, or --plans and --dataset-json of nnU-Net.",
        )
    if len(images.spacing) != len(images.patch_size):
        raise ConfigError("--spacing and --patch-size have different numbers of axes.", "Give two or three for both.")
    if images.normalization not in _NORMALIZATIONS:
        raise ConfigError(f"--normalization {images.normalization!r} is unknown.", f"Use {', '.join(_NORMALIZATIONS)}.")
    dataset = {
        "name": name,
        "channel_names": {str(place): channel for place, channel in enumerate(images.channels)},
        "labels": {"background": 0, **{label: value for value, label in enumerate(images.labels, 1)}},
        "file_ending": ".nii.gz",
    }
    return _made_plans(images, name), dataset


def _made_plans(images: Images, name: str) -> dict[str, Any]:
    scheme, masked = _NORMALIZATIONS[images.normalization]
    count = len(images.channels)
    configuration: dict[str, Any] = {
        "data_identifier": f"imported_{images.configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(images.patch_size or ()),
        "median_image_size_in_voxels": list(images.patch_size or ()),
        "spacing": list(images.spacing or ()),
        "normalization_schemes": [scheme] * count,
        "use_mask_for_norm": [masked] * count,
        "batch_dice": False,
        "architecture": {"network_class_name": "", "arch_kwargs": {}, "_kw_requires_import": []},
    }
    for kind, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
        options = {"is_seg": kind == "seg", "order": order, "order_z": 0, "force_separate_z": None}
        configuration[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        configuration[f"resampling_fn_{kind}_kwargs"] = options
    return {
        "dataset_name": name,
        "plans_name": "imported",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(place): dict(_INTENSITIES) for place in range(count)},
        "configurations": {images.configuration: configuration},
    }
