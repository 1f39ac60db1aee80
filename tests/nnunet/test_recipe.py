"""Recipes beside what nnU-Net's own managers say of the same plans."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from nnunetv2.preprocessing.normalization import default_normalization_schemes as schemes
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medmamba.errors import ConfigError, DataError, MedMambaError
from medmamba.nnunet.recipe import READERS, make_recipe
from medmamba.predict.recipe import Resampling
from tests.nnunet.plans_by_hand import INTENSITIES, configuration, dataset, plans

LABELS: dict[str, dict[str, Any]] = {
    "labels": {},
    "gaps": {"labels": {"background": 0, "b": 7, "a": 3}},
    "ignore": {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}},
    "regions": {
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "rim": 3},
        "regions_class_order": [1, 2, 3],
    },
    "regions, ignore": {
        "labels": {"background": 0, "whole": (1, 2), "core": [2], "ignore": 3},
        "regions_class_order": (1, 2),
    },
    "region of one": {"labels": {"background": 0, "only": [1], "other": 2}, "regions_class_order": [1, 2]},
    "region of the background": {
        "labels": {"background": 0, "none": [0, 0], "whole": [1, 2]},
        "regions_class_order": [1],
    },
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_nnunets(kind: str) -> None:
    content = dataset(**LABELS[kind])
    recipe = make_recipe(plans(), content, "3d_fullres", None)
    manager = LabelManager(content["labels"], content.get("regions_class_order"))
    assert recipe.heads == manager.num_segmentation_heads
    assert recipe.foreground == tuple(manager.foreground_labels)
    assert recipe.has_regions == manager.has_regions
    assert recipe.regions_class_order == (tuple(manager.regions_class_order) if manager.has_regions else None)
    assert list(recipe.labels) == list(content["labels"])
    if manager.has_regions:
        painted = [v for name, v in recipe.labels.items() if name != "ignore" and v != 0 and set(np.ravel(v)) != {0}]
        assert painted == manager.foreground_regions


@pytest.mark.parametrize(
    "content",
    [
        {"labels": {"a": 1}},
        {"labels": {"background": 1, "a": 2}},
        {"labels": {"background": [0], "a": 2}},
        {"labels": {"background": 0, "a": 1, "ignore": 1}},
        {"labels": {"background": 0, "a": 1, "ignore": [2, 3]}},
        {"labels": {"background": 0, "a": [1, 2]}},
        {"labels": {"background": 0, "a": [1, 2]}, "regions_class_order": [1, 2]},
    ],
)
def test_labels_that_nnunet_refuses(content: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, RuntimeError)):
        LabelManager(content["labels"], content.get("regions_class_order"))
    with pytest.raises(DataError):
        make_recipe(plans(), dataset(**content), "3d_fullres", None)


@pytest.mark.parametrize("name", ["2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres"])
def test_a_configuration_is_nnunets(name: str) -> None:
    content = plans(2, transpose_forward=[2, 0, 1], transpose_backward=[1, 2, 0])
    recipe = make_recipe(content, dataset(2), name, [0, 1])
    manager = PlansManager(deepcopy(content))
    wanted = manager.get_configuration(name)
    assert recipe.spacing == tuple(wanted.spacing) and recipe.patch_size == tuple(wanted.patch_size)
    assert recipe.previous_stage == wanted.previous_stage_name
    assert recipe.transpose_forward == tuple(manager.transpose_forward)
    assert recipe.transpose_backward == tuple(manager.transpose_backward)
    assert recipe.channels == ("MR0", "MR1") and recipe.file_ending == ".nii.gz"
    assert recipe.mirror_axes == (0, 1) and recipe.configuration == name
    for ours, theirs in (
        (recipe.resample_image, wanted.resampling_fn_data),
        (recipe.resample_logits, wanted.resampling_fn_probabilities),
        (recipe.resample_labels, wanted.resampling_fn_seg),
    ):
        options = theirs.keywords
        assert ours == Resampling(options["order"], options["order_z"], options["force_separate_z"])


SCHEMES = [
    *("ZScoreNormalization", "CTNormalization", "NoNormalization"),
    *("RescaleTo01Normalization", "RGBTo01Normalization"),
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("mask", [True, False])
def test_normalisation_is_nnunets(scheme: str, mask: bool) -> None:
    content = plans(2)
    content["configurations"]["3d_fullres"].update(
        normalization_schemes=["NoNormalization", scheme], use_mask_for_norm=[False, mask]
    )
    normalize = make_recipe(content, dataset(2), "3d_fullres", None).normalizers[1]
    image = np.random.default_rng(0).uniform(0, 255, (4, 5, 6)).astype(np.float32)
    outside = np.where(image > 100, 0, -1).astype(np.int8)
    wanted = getattr(schemes, scheme)(use_mask_for_norm=mask, intensityproperties=INTENSITIES["1"])
    assert np.array_equal(normalize(image.copy(), outside), wanted.run(image.copy(), outside))


def test_resampling_that_is_not_the_usual() -> None:
    content = plans()
    full = content["configurations"]["3d_fullres"]
    full["resampling_fn_data"] = "resample_torch_fornnunet"
    full["resampling_fn_data_kwargs"] = {"is_seg": False, "force_separate_z": False}
    full["resampling_fn_probabilities_kwargs"]["separate_z_anisotropy_threshold"] = 5
    del full["resampling_fn_seg_kwargs"]["force_separate_z"]
    recipe = make_recipe(content, dataset(), "3d_fullres", None)
    image = np.random.default_rng(0).normal(size=(1, 6, 7, 8)).astype(np.float32)
    place = ((9, 9, 9), (1, 1, 1), (0.6, 0.7, 0.8))
    assert callable(recipe.resample_image) and callable(recipe.resample_logits)
    wanted = resample_torch_fornnunet(image, *place, is_seg=False, force_separate_z=False)
    assert np.array_equal(recipe.resample_image(image, *place), wanted)
    theirs = PlansManager(deepcopy(content)).get_configuration("3d_fullres").resampling_fn_probabilities
    assert np.array_equal(recipe.resample_logits(image, *place), theirs(image, *place))
    assert recipe.resample_labels == Resampling(1, 0, False)  # what nnU-Net's function does when it is not told


@pytest.mark.parametrize("reader", READERS)
def test_readers(reader: str) -> None:
    content = plans(image_reader_writer=reader)
    assert make_recipe(content, dataset(), "3d_fullres", None).reader == READERS[reader]
    assert PlansManager(content).image_reader_writer_class.__name__ == reader


def test_older_names() -> None:
    content = plans(2)
    content["foreground_intensity_properties_by_modality"] = content.pop("foreground_intensity_properties_per_channel")
    older = dataset(2, modality={"10": "c", "0": "a", "2": "b"})
    for entry in content["configurations"].values():
        if "normalization_schemes" in entry:
            entry.update(normalization_schemes=["NoNormalization"] * 2, use_mask_for_norm=[False] * 2)
    with pytest.raises(DataError, match="2 channel"):
        make_recipe(content, older, "3d_fullres", None)
    older["modality"] = {"1": "b", "0": "a"}
    assert make_recipe(content, older, "3d_fullres", None).channels == ("a", "b")


BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "configuration": ({"configurations": {"2d": configuration(2)}}, {}, {}, "no configuration '3d_fullres'"),
    "circle": ({"configurations": {"3d_fullres": {"inherits_from": "3d_fullres"}}}, {}, {}, "inherits from itself"),
    "preprocessor": ({}, {"preprocessor_name": "CTPreprocessor"}, {}, "preprocessor CTPreprocessor"),
    "label manager": ({"label_manager": "MyLabels"}, {}, {}, "label manager MyLabels"),
    "reader": ({"image_reader_writer": "MyIO"}, {}, {}, "reader MyIO"),
    "no reader": ({"image_reader_writer": None}, {}, {}, "no 'image_reader_writer'"),
    "normalisation": ({}, {"normalization_schemes": ["Mine"]}, {}, "no normalisation 'Mine'"),
    "resampling": ({}, {"resampling_fn_seg": "mine"}, {}, "no resampling 'mine'"),
    "spacing": ({}, {"spacing": None}, {}, "3d_fullres of the plans has no 'spacing'"),
    "intensities": ({"foreground_intensity_properties_per_channel": {}}, {}, {}, "intensity properties"),
    "labels": ({}, {}, {"labels": {}}, "no 'labels'"),
    "label": ({}, {}, {"labels": {"background": 0, "a": "one"}}, "Label 'a'"),
    "channel": ({}, {}, {"channel_names": {"T1": "T1"}}, "channel 'T1'"),
    "ending": ({}, {}, {"file_ending": None}, "no 'file_ending'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_refused(what: str) -> None:
    of_plans, of_configuration, of_dataset, message = BROKEN[what]
    content = {**plans(), **of_plans}
    if of_configuration:
        content["configurations"]["3d_fullres"].update(of_configuration)
    with pytest.raises(MedMambaError, match=message) as caught:
        make_recipe(content, dataset(**of_dataset), "3d_fullres", None)
    assert isinstance(caught.value, DataError | ConfigError) and caught.value.remedy


def test_mirrored_axes_belong_to_the_patch() -> None:
    assert make_recipe(plans(), dataset(), "2d", []).mirror_axes is None
    with pytest.raises(DataError, match="2-D patch"):
        make_recipe(plans(), dataset(), "2d", [0, 1, 2])
