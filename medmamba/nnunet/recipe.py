"""From nnU-Net's plans and dataset.json to a `medmamba.predict.Recipe`.

Reads plans as plain values and imports of nnU-Net only what a model uses: its managers of plans and trainers take
seconds to import, as long as a small case takes to predict.
"""

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..predict.recipe import Normalize, Reader, Recipe, Resampling, WholeResampler
from . import plans as network_plans
from .architecture import make_network
from .labels import channel_names, read_labels

__all__ = ["READERS", "make_network", "make_recipe"]

READERS: dict[str, Reader] = {
    "SimpleITKIO": "itk",
    "SimpleITKIOWithReorient": "itk-ras",
    "NibabelIO": "nibabel",
    "NibabelIOWithReorient": "nibabel-ras",
    "NaturalImage2DIO": "flat",
    "Tiff3DIO": "tiff",
}
"""nnU-Net's readers by the name in the plans."""
_USUAL = "resample_data_or_seg_to_shape"
_ANISOTROPY = 3
"""Ratio of spacings from which nnU-Net resamples the coarse axis on its own, unless told another."""


def make_recipe(
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    configuration: str,
    mirror_axes: Sequence[int] | None,
) -> Recipe:
    """How one configuration of these plans treats images.

    Parameters
    ----------
    plans, dataset: the content of nnU-Net's plans.json and dataset.json.
    configuration: such as "3d_fullres".
    mirror_axes: of the patch, along which the model was trained with mirrored images; None or empty: none.

    Raises ConfigError for a configuration that is not there and for parts of nnU-Net that another class has taken the
    place of (preprocessor, label manager, reader), and DataError for plans or a dataset.json that lack something.
    """
    whole = network_plans.resolve(plans, configuration)
    _refuse_other_classes(plans, whole)
    labels, channels = read_labels(dataset), channel_names(dataset)
    patch_size = tuple(int(size) for size in _key(whole, "patch_size", configuration))
    axes = tuple(int(axis) for axis in mirror_axes or ())
    if any(not 0 <= axis < len(patch_size) for axis in axes):
        raise DataError(f"The model mirrors along axes {axes} of a {len(patch_size)}-D patch.", "Train it again.")
    return Recipe(
        channels=channels,
        file_ending=str(_key(dataset, "file_ending", "The dataset.json")),
        reader=READERS[_key(plans, "image_reader_writer", "The plans")],
        transpose_forward=tuple(int(axis) for axis in _key(plans, "transpose_forward", "The plans")),
        transpose_backward=tuple(int(axis) for axis in _key(plans, "transpose_backward", "The plans")),
        spacing=tuple(float(value) for value in _key(whole, "spacing", configuration)),
        patch_size=patch_size,
        normalizers=_normalizers(plans, whole, configuration, len(channels)),
        resample_image=_resampling(whole, "data", configuration, False),
        resample_logits=_resampling(whole, "probabilities", configuration, False),
        resample_labels=_resampling(whole, "seg", configuration, True),
        labels=labels.values,
        heads=labels.heads,
        regions_class_order=labels.regions_class_order,
        foreground=labels.foreground,
        mirror_axes=axes or None,
        configuration=configuration,
        previous_stage=whole.get("previous_stage"),
    )


def _key(content: Mapping[str, Any], key: str, where: str) -> Any:
    if content.get(key) is None:
        place = where if where.startswith("The ") else f"Configuration {where} of the plans"
        raise DataError(f"{place} has no {key!r}.", "Take the file that nnU-Net wrote beside the model.")
    return content[key]


def _refuse_other_classes(plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> None:
    """ConfigError where the plans ask for a class whose work we do not know."""
    for what, name, known in (
        ("preprocessor", configuration.get("preprocessor_name", "DefaultPreprocessor"), ["DefaultPreprocessor"]),
        ("label manager", plans.get("label_manager") or "LabelManager", ["LabelManager"]),
        ("image reader", plans.get("image_reader_writer") or "SimpleITKIO", list(READERS)),
    ):
        if name not in known:
            raise ConfigError(
                f"These plans ask for the {what} {name}, which is none of nnU-Net's own.",
                f"Known: {', '.join(known)}. Predict with nnUNetv2_predict instead.",
            )


def _normalizers(
    plans: Mapping[str, Any], configuration: Mapping[str, Any], name: str, channels: int
) -> tuple[Normalize, ...]:
    """nnU-Net's normalisation of each channel."""
    schemes = list(_key(configuration, "normalization_schemes", name))
    masked = list(_key(configuration, "use_mask_for_norm", name))
    if len(schemes) != channels or len(masked) != channels:
        raise DataError(
            f"The plans normalise {len(schemes)} channel(s) and the dataset.json names {channels}.",
            "Take the files that nnU-Net wrote beside the model.",
        )
    older = "foreground_intensity_properties_by_modality"
    known = plans.get("foreground_intensity_properties_per_channel", plans.get(older))
    if known is None or any(str(channel) not in known for channel in range(channels)):
        raise DataError("The plans lack intensity properties of a channel.", "Take the plans beside the model.")
    return tuple(
        _normalization(scheme)(use_mask_for_norm=bool(mask), intensityproperties=known[str(channel)]).run
        for channel, (scheme, mask) in enumerate(zip(schemes, masked, strict=True))
    )


def _normalization(name: str) -> Any:
    """nnU-Net's class of that name; others are looked for where nnU-Net looks for them."""
    usual = importlib.import_module("nnunetv2.preprocessing.normalization.default_normalization_schemes")
    found = getattr(usual, name, None) or _search(name, "normalization")
    if found is None:
        raise ConfigError(f"There is no normalisation {name!r} in nnU-Net's folder.", "Put its class there.")
    return found


def _resampling(configuration: Mapping[str, Any], kind: str, name: str, labels: bool) -> Resampling | WholeResampler:
    """How images ("data"), logits ("probabilities") or label maps ("seg") are brought to another size."""
    function = _key(configuration, f"resampling_fn_{kind}", name)
    options = dict(configuration.get(f"resampling_fn_{kind}_kwargs") or {})
    usual = set(options) <= {"is_seg", "order", "order_z", "force_separate_z", "separate_z_anisotropy_threshold"}
    usual = usual and options.get("separate_z_anisotropy_threshold", _ANISOTROPY) == _ANISOTROPY
    if function == _USUAL and usual and bool(options.get("is_seg", False)) is labels:
        separate = options.get("force_separate_z", False)
        return Resampling(int(options.get("order", 3)), int(options.get("order_z", 0)), separate)
    found = _search(function, "resampling")
    if found is None:
        raise ConfigError(f"There is no resampling {function!r} in nnU-Net's folder.", "Put its function there.")
    return partial(found, **options)


def _search(name: str, part: str) -> Any:
    """What has that name in a part of nnU-Net's preprocessing, or None: nnU-Net's own search."""
    import nnunetv2.preprocessing
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    folder = Path(nnunetv2.preprocessing.__path__[0]) / part
    return recursive_find_python_class(str(folder), name, f"nnunetv2.preprocessing.{part}")
