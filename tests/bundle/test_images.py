import pytest

from medmamba.bundle.images import Images, plans_of
from medmamba.bundle.plans import check_dataset
from medmamba.errors import ConfigError
from medmamba.nnunet.recipe import make_recipe

SAID = Images(["T1", "T2"], ["lesion"], [3.0, 1.0, 1.0], [16, 64, 64], "rescale01")


def test_what_is_said_makes_a_recipe() -> None:
    plans, dataset = plans_of(SAID, "Lesions")
    check_dataset(dataset)
    recipe = make_recipe(plans, dataset, "3d_fullres", (1, 2))
    assert recipe.channels == ("T1", "T2") and dict(recipe.labels) == {"background": 0, "lesion": 1}
    assert (recipe.spacing, recipe.patch_size, recipe.heads) == ((3.0, 1.0, 1.0), (16, 64, 64), 2)
    assert [type(one.__self__).__name__ for one in recipe.normalizers] == ["RescaleTo01Normalization"] * 2  # type: ignore[attr-defined]


def test_plans_that_are_given_stay_as_they_are() -> None:
    given = {"configurations": {"2d": {"patch_size": [1, 2]}}}
    plans, dataset = plans_of(Images(plans=given, dataset={"labels": {}}), "")
    assert plans == given and plans["configurations"] is not given["configurations"]
    assert dataset == {"labels": {}}


def test_axes_go_together() -> None:
    with pytest.raises(ConfigError, match="different numbers of axes"):
        plans_of(Images(["T1"], ["a"], [1.0, 1.0], [16, 64, 64]), "")
