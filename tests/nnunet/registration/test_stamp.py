"""What training notes for the use of a registration network."""

import json
from typing import Any

import pytest

from medmamba.nnunet.registration import stamp
from medmamba.nnunet.registration.options import RegistrationRecipe
from medmamba.nnunet.registration.pairing import read_pairing
from medmamba.register.network import Use, use_of

DATASET = {"channel_names": {"0": "CT", "1": "T1"}, "labels": {"background": 0, "liver": 1, "spleen": 2}}
CONFIGURATION = {
    "patch_size": [32, 48, 64],
    "spacing": [3.0, 1.0, 2.0],
    "normalization_schemes": ["CTNormalization", "ZScoreNormalization"],
}
RAS = {"sitk_stuff": {"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}}


@pytest.mark.parametrize(
    ("backward", "direction", "size", "spacing"),
    [
        ([0, 1, 2], (-1, 0, 0, 0, -1, 0, 0, 0, 1), (64, 48, 32), (2, 1, 3)),  # the plan's axes are Z, Y, X
        ([0, 1, 2], (1, 0, 0, 0, 1, 0, 0, 0, -1), (64, 48, 32), (2, 1, 3)),  # flips do not matter
        ([1, 0, 2], (-1, 0, 0, 0, -1, 0, 0, 0, 1), (64, 32, 48), (2, 3, 1)),  # the plan turned the first two
        ([0, 1, 2], (0, 0, 1, 1, 0, 0, 0, 1, 0), (32, 64, 48), (3, 2, 1)),  # the file's axes are A, S, R
    ],
)
def test_the_grid_is_along_the_patients_axes(
    backward: list[int], direction: tuple[int, ...], size: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    properties = {"sitk_stuff": {"direction": direction}}
    assert stamp.grid_of({"transpose_backward": backward}, CONFIGURATION, properties) == (size, spacing)


def note(**table: Any) -> dict[str, Any]:
    pairing = read_pairing({**DATASET, "registration": table})
    return stamp.of(
        pairing, RegistrationRecipe(passes=2, smoothing=1.5), True, CONFIGURATION, (64, 48, 32), (2.0, 1.0, 3.0)
    )


def test_the_note_is_plain_and_read_as_it_was_meant() -> None:
    found = json.loads(json.dumps(note(pairing="intra")))
    labels = (("liver", 1), ("spleen", 2))
    assert use_of(found) == Use((2, 1, 3), (64, 48, 32), ("ct", "mri"), 2, True, labels, 1.5)


def test_modalities_are_those_of_the_two_channels() -> None:
    assert note(pairing="intra", fixed_channel=1, moving_channel=0)["modalities"] == ["mri", "ct"]
    assert note(pairing="inter", fixed_channel=0)["modalities"] == ["ct", "ct"]


def test_ignored_labels_are_not_noted() -> None:
    assert note(pairing="intra", ignore_labels=[2])["labels"] == {"liver": 1}
