import numpy as np
import pytest

from medmamba.report.views import field, place, shown, window
from medmamba.report.volumes import Volume
from tests.report.made import ball

SIZE = (30, 26, 20)


def volume(voxels: np.ndarray, placed: bool = True) -> Volume:
    return Volume(voxels, np.eye(4), placed, None)  # type: ignore[arg-type]


def test_a_missed_lesion_goes_before_a_long_thin_rim() -> None:
    truth = ball(SIZE, (9, 9, 9), 6).astype(int)
    found = ball(SIZE, (9, 9, 9), 7).astype(int)
    truth[ball(SIZE, (24, 20, 10), 3)] = 2
    at = place(found, truth, (1, 1, 1))
    assert at.at == (24, 20, 10) and "disagree" in at.text


def test_without_disagreement_the_structure_and_without_structure_the_middle() -> None:
    truth = ball(SIZE, (20, 12, 8), 4).astype(int)
    assert place(truth, truth, (1, 1, 1)).at == (20, 12, 8)
    assert place(truth, None, (1, 1, 1)).at == (20, 12, 8)
    assert place(np.zeros(SIZE), np.zeros(SIZE), (1, 1, 1)).at == (15, 13, 10)
    assert place(None, None, (1, 1, 1)).at == (0, 0, 0)


def test_spacing_counts() -> None:
    thick = np.zeros((1, 3, 40), int)
    thick[0, 1, 30:33] = 1  # three slices of 5 mm in a row
    thick[0, :, 5] = 1
    assert place(thick, None, (1, 1, 5)).at[2] in (5, 31)


def test_a_flat_image_has_a_place_too() -> None:
    truth = ball((20, 20), (5, 6), 4)[..., None].astype(int)
    assert place(None, truth, (1, 1, 1)).at == (5, 6, 0)


def test_field_is_the_structure_with_surroundings() -> None:
    mask = np.zeros((200, 100, 60), int)
    mask[100:120, 50:60, 30:34] = 1
    assert field([mask], mask.shape, (1, 2, 5)) == (slice(80, 140), slice(40, 70), slice(26, 38))
    assert field([mask * 0], mask.shape, (1, 1, 1)) == (slice(0, 200), slice(0, 100), slice(0, 60))


def test_windows() -> None:
    ct = np.full((20, 20, 20), -1000, np.int16)
    ct[5:15, 5:15, 5:15] = 50
    ct[7, 7, 7] = 900
    organ = (ct > 0).astype(int)
    assert (window(volume(ct), [organ]).low, window(volume(ct), [organ]).high) == (-160, 240)
    lung = (ct < 0).astype(int)
    assert window(volume(ct), [lung]).low == -1350
    assert "CT" in window(volume(np.maximum(ct, 0)), [organ], "CT").text
    mr = np.random.default_rng(0).gamma(3, 100, (20, 20, 20)).astype(np.float32)
    grey = window(volume(mr), [])
    assert "percentile" in grey.text and grey.low > 0 and grey.apply(mr).max() == 255
    assert window(volume(np.zeros((3, 3, 3))), []).apply(np.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("axis", "corner"), [(2, (1, 1)), (1, (1, 1)), (0, (1, 1))])
def test_the_right_front_upper_corner_is_where_radiologists_look_for_it(axis: int, corner: tuple[int, int]) -> None:
    """Of a cut (rows down, columns to the right) the first voxel is the most right (or front) and upper one."""
    x, y, z = np.indices((2, 2, 2))
    across, up = {2: (x, y), 1: (x, z), 0: (y, z)}[axis]
    assert (int(shown(across, axis, 0)[0, 0]), int(shown(up, axis, 0)[0, 0])) == corner
