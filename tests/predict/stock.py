"""nnU-Net's own preprocessing and export of a recipe, for tests that compare ours with them."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.preprocessing.normalization import default_normalization_schemes as schemes
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from nnunetv2.utilities.label_handling.label_handling import LabelManager, convert_labelmap_to_one_hot

from medmamba.predict.arrays.preprocess import Place
from medmamba.predict.recipe import Recipe, Resampling

CT = {"mean": 40.0, "std": 120.0, "percentile_00_5": -300.0, "percentile_99_5": 500.0}


CUBIC, LINEAR = Resampling(3, 0), Resampling(1, 0)


def recipe(
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0),
    heads: int = 3,
    transpose: tuple[int, ...] = (0, 1, 2),
    normalization: tuple[tuple[str, bool], ...] = (("ZScoreNormalization", False),),
    regions: tuple[int, ...] | None = None,
    image: Resampling = CUBIC,
    logits: Any = LINEAR,
    labels: Resampling = LINEAR,
) -> Recipe:
    """A recipe by what matters to geometry, intensities and labels."""
    names: dict[str, Any] = {"background": 0} | {f"l{value}": value for value in range(1, heads)}
    if regions:
        names = {"background": 0} | {f"r{i}": tuple(range(i + 1, heads + 2)) for i in range(heads)}
    return Recipe(
        channels=tuple(f"c{i}" for i in range(len(normalization))),
        file_ending=".nii.gz",
        reader="itk",
        transpose_forward=transpose,
        transpose_backward=tuple(int(i) for i in np.argsort(transpose)),
        spacing=spacing,
        patch_size=(16, 16, 16)[: len(spacing)],
        normalizers=tuple(
            getattr(schemes, name)(use_mask_for_norm=mask, intensityproperties=CT).run for name, mask in normalization
        ),
        resample_image=image,
        resample_logits=logits,
        resample_labels=labels,
        labels=names,
        heads=heads,
        regions_class_order=regions,
        foreground=tuple(range(1, heads + (2 if regions else 0))),
        mirror_axes=None,
        configuration="3d_fullres" if len(spacing) == 3 else "2d",
    )


def _resampler(how: Any, is_seg: bool) -> Any:
    if not isinstance(how, Resampling):
        return how
    return partial(
        resample_data_or_seg_to_shape,
        is_seg=is_seg,
        order=how.order,
        order_z=how.order_z,
        force_separate_z=how.force_separate_z,
    )


def managers(ours: Recipe) -> tuple[Any, Any, LabelManager]:
    """nnU-Net's managers of plans, of a configuration and of labels, as far as these functions look at them."""
    labels = LabelManager(dict(ours.labels), list(ours.regions_class_order) if ours.regions_class_order else None)
    plans = SimpleNamespace(
        transpose_forward=list(ours.transpose_forward),
        transpose_backward=list(ours.transpose_backward),
        foreground_intensity_properties_per_channel={str(i): CT for i in range(len(ours.channels))},
        get_label_manager=lambda _: labels,
    )
    owners = [normalize.__self__ for normalize in ours.normalizers]  # type: ignore[attr-defined]
    configuration = SimpleNamespace(
        spacing=list(ours.spacing),
        normalization_schemes=[type(owner).__name__ for owner in owners],
        use_mask_for_norm=[owner.use_mask_for_norm for owner in owners],
        resampling_fn_data=_resampler(ours.resample_image, False),
        resampling_fn_seg=_resampler(ours.resample_labels, True),
        resampling_fn_probabilities=_resampler(ours.resample_logits, False),
    )
    return plans, configuration, labels


def preprocess(
    image: np.ndarray, spacing: tuple[float, ...], ours: Recipe, previous: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """What nnU-Net's predictor gives its network, and its properties of the case."""
    plans, configuration, labels = managers(ours)
    segmentation = None if previous is None else previous[None].astype(np.float32)
    data, segmentation, properties = DefaultPreprocessor(verbose=False).run_case_npy(
        image, segmentation, {"spacing": list(spacing)}, plans, configuration, {}
    )
    if previous is not None:
        data = np.vstack((data, convert_labelmap_to_one_hot(segmentation[0], labels.foreground_labels, data.dtype)))
    return data, properties


def export(logits: torch.Tensor, ours: Recipe, place: Place, probabilities: bool = False) -> Any:
    """nnU-Net's label map of these logits, with `probabilities` those too."""
    plans, configuration, labels = managers(ours)
    return convert_predicted_logits_to_segmentation_with_correct_shape(
        logits.clone(), plans, configuration, labels, place.as_properties(), probabilities, torch.get_num_threads()
    )
