"""What a preset says of registration."""

from typing import Any

import pytest
from pydantic import ValidationError

from medmamba.nnunet.registration.options import SIMILARITIES, Augmentation, Losses, RegistrationRecipe


def test_the_defaults_are_the_authors() -> None:
    recipe = RegistrationRecipe.model_validate({})
    assert recipe.losses == Losses.model_validate({"dice": 1, "smooth": 0.1}) and recipe.passes == 1 and recipe.align
    assert not any(value for name, value in recipe.augmentation if name != "contrast")
    assert recipe.augmentation.contrast == "none"


@pytest.mark.parametrize("name", SIMILARITIES)
def test_a_similarity_does_without_labels(name: str) -> None:
    assert Losses.model_validate({}).needs_labels
    assert Losses.model_validate({"contrastive": 1, "dice": 0}).needs_labels
    assert not Losses.model_validate({name: 0.1}).needs_labels


@pytest.mark.parametrize(
    ("kind", "content", "key"),
    [
        (Losses, {"dice": -1}, "dice"),
        (Losses, {"ncc": 1}, "ncc"),
        (Losses, {"mse": "much"}, "mse"),
        (Augmentation, {"rotation": 181}, "rotation"),
        (Augmentation, {"scale": 1}, "scale"),
        (Augmentation, {"apart": 1.1}, "apart"),
        (Augmentation, {"contrast": "strong"}, "contrast"),
        (RegistrationRecipe, {"passes": 0}, "passes"),
        (RegistrationRecipe, {"passes": 9}, "passes"),
        (RegistrationRecipe, {"smoothing": -1}, "smoothing"),
        (RegistrationRecipe, {"losses": {"smooth": -0.1}}, "losses.smooth"),
        (RegistrationRecipe, {"aligned": True}, "aligned"),
    ],
)
def test_what_cannot_be_names_its_key(kind: Any, content: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(content)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == key


def test_a_recipe_does_not_change_by_itself() -> None:
    recipe = RegistrationRecipe.model_validate({"losses": {"lncc": 1}, "augmentation": {"contrast": "remap"}})
    with pytest.raises(ValidationError):
        recipe.losses.lncc = 2  # type: ignore[misc]
    assert RegistrationRecipe.model_validate(recipe.model_dump()) == recipe
    assert RegistrationRecipe.model_validate_json(recipe.model_dump_json()) == recipe
