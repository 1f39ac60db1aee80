"""Letters and views against SimpleITK's own reorientation."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.nnunet.watching.orientation import axes, view

CODES = sorted({"".join(c) for p in itertools.permutations(("RL", "AP", "IS")) for c in itertools.product(*p)})


def image(code: str) -> sitk.Image:
    """A volume of 48 different corners, its voxel axes going to the sides named by `code`."""
    plain = sitk.GetImageFromArray(np.arange(4 * 5 * 6).reshape(4, 5, 6))
    return sitk.DICOMOrient(plain, code)


def properties(volume: sitk.Image) -> dict:
    return {"sitk_stuff": {"direction": volume.GetDirection()}, "spacing": volume.GetSpacing()[::-1]}


@pytest.mark.parametrize("code", CODES)
def test_letters_are_itks(code: str) -> None:
    assert "".join(axes(properties(image(code)), [0, 1, 2]) or ())[::-1] == code


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)])
def test_every_way_of_storing_a_volume_looks_the_same(code: str, transpose: tuple[int, ...]) -> None:
    volume = image(code)
    array = sitk.GetArrayFromImage(volume).transpose(transpose)
    letters = axes(properties(volume), transpose)
    usual = sitk.GetArrayFromImage(sitk.DICOMOrient(image(code), "LPS"))  # patient's right at the left, front up
    assert letters is not None
    across = next(axis for axis, letter in enumerate(letters) if letter in "IS")
    shown = view(letters, across)
    assert shown.plane == "axial" and shown.sides == ("R", "L", "A", "P")
    cuts = {shown.turn(array.take(place, across)).tobytes() for place in range(array.shape[across])}
    assert cuts == {np.ascontiguousarray(cut).tobytes() for cut in usual}


@pytest.mark.parametrize(("across", "plane", "sides"), [(1, "coronal", "RLSI"), (2, "sagittal", "APSI")])
def test_the_head_is_up(across: int, plane: str, sides: str) -> None:
    shown = view(("S", "P", "L"), across)
    assert (shown.plane, "".join(shown.sides or ())) == (plane, sides)


@pytest.mark.parametrize(
    "known", [{}, {"sitk_stuff": {"direction": [1, 0, 0, 1]}}, {**properties(image("LPS")), "spacing": [999.0, 1, 1]}]
)
def test_what_is_no_volume_stays_as_it_is(known: dict) -> None:
    assert axes(known, [0, 1, 2]) is None
    cut = np.arange(6).reshape(2, 3)
    assert (view(None, 0).turn(cut) == cut).all() and view(None, 0).sides is None
