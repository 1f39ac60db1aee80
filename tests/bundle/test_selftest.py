import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medmamba.bundle import selftest
from medmamba.bundle.verify import verify
from medmamba.errors import BundleError
from medmamba.predict.arrays.preprocess import preprocess
from medmamba.predict.recipe import LoadedModel
from tests.bundle.made import change

CPU = torch.device("cpu")


def test_a_bundle_passes_where_it_was_made(original: Path) -> None:
    outcome = verify(original, self_test=True, device="cpu", precision="fp32").self_test
    assert outcome is not None and outcome.logits < 1e-3 and outcome.voxels < 1e-3
    rough = verify(original, self_test=True, device="cpu", precision="bf16").self_test
    assert rough is not None and 1e-4 < rough.logits < 0.1


def test_the_image_is_one_patch_of_the_network(model: LoadedModel) -> None:
    turned = replace(model.recipe, transpose_forward=(2, 0, 1), transpose_backward=(1, 2, 0))
    for recipe in (model.recipe, turned):
        image, spacing = selftest.synthetic(recipe)
        assert preprocess(image.copy(), spacing, recipe)[1].network_shape == recipe.patch_size
        assert len(np.unique(image)) > 5
    flat = replace(model.recipe, patch_size=(24, 16), spacing=(0.8, 0.7))
    image, spacing = selftest.synthetic(flat)
    assert preprocess(image.copy(), spacing, flat)[1].network_shape == (2, 24, 16)


def test_the_seed_gives_the_same_image_everywhere(model: LoadedModel) -> None:
    image, _ = selftest.synthetic(replace(model.recipe, patch_size=(8, 8, 16)), 7)
    assert image[0, 0, 0, ::8].tolist() == [241.0, 160.0]


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5])
def test_other_weights_are_noticed(factor: float, model: LoadedModel) -> None:
    expected = selftest.record(model)
    assert selftest.compare(model, expected, CPU).identical
    spoilt = tuple({key: tensor * factor for key, tensor in state.items()} for state in model.weights)
    with pytest.raises(BundleError, match="something else here than where the bundle was made"):
        selftest.compare(replace(model, weights=spoilt), expected, CPU)


def test_folds_count(model: LoadedModel) -> None:
    with pytest.raises(BundleError, match="something else here"):
        selftest.compare(replace(model, weights=model.weights[:1]), selftest.record(model), CPU)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("logits", [[0.0] * 64], "of another model"),
        ("logits", "many", "is no self-test"),
        ("voxels", [1, 2], "is no self-test"),
        ("image", "0" * 64, "image is another here"),
        ("seed", -1, "of another model"),
    ],
)
def test_expectations_that_are_none(key: str, value: object, sentence: str, bundle: Path) -> None:
    change(bundle, "expected.json", lambda content: content.update({key: value}))
    with pytest.raises(BundleError, match=sentence):
        verify(bundle, self_test=True, device="cpu")


def test_without_a_self_test(bundle: Path) -> None:
    (bundle / "expected.json").unlink()
    change(bundle, "bundle.json", lambda content: None)
    assert verify(bundle).self_test is None
    with pytest.raises(BundleError, match="has no self-test"):
        verify(bundle, self_test=True)


def test_it_says_nothing_of_the_maker(original: Path) -> None:
    assert set(json.loads((original / "expected.json").read_text())) == {
        *("seed", "image", "labels", "voxels", "logits", "deviation")
    }
