"""Photographs and stacks: axes, colours, spacing from beside, and what is none."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imsave

from medmamba.errors import DataError
from medmamba.predict.files.cases import Case, find_cases
from medmamba.predict.files.pictures import read_pictures, stack_spacing
from tests.predict.made_images import case, recipe, voxels

COLOUR = recipe("flat", ("r", "g", "b"), ".png", (8, 8))
STACK = recipe("tiff", ("EM",), ".tif")


def picture(path: Path, *shape: int, seed: int = 0) -> Path:
    imsave(path, voxels(shape, np.uint8, seed), check_contrast=False)
    return path


def stack(path: Path, shape: tuple[int, ...] = (4, 6, 7)) -> Path:
    tifffile.imwrite(path, voxels(shape, np.uint16), photometric="minisblack")
    return path


def test_colours_come_first_and_files_stay_apart(tmp_path: Path) -> None:
    grey, colour = picture(tmp_path / "a.png", 6, 9), picture(tmp_path / "b.png", 6, 9, 3, seed=1)
    four = recipe("flat", ("x", "r", "g", "b"), ".png", (8, 8))
    (first, one), (second, three) = read_pictures(case(grey, colour), four)
    assert (first, second) == (grey, colour)
    assert np.array_equal(one, voxels((6, 9), np.uint8)[None, None])
    assert np.array_equal(three, voxels((6, 9, 3), np.uint8, 1).transpose(2, 0, 1)[:, None])


def test_too_few_and_too_many_colours_are_counted(tmp_path: Path) -> None:
    grey, clear = picture(tmp_path / "a.png", 6, 9), picture(tmp_path / "b.png", 6, 9, 4)
    with pytest.raises(DataError, match=r"lacks 2 channel\(s\)"):
        read_pictures(case(grey), COLOUR)
    with pytest.raises(DataError, match=r"has 1 channel\(s\) too many"):
        read_pictures(case(clear), COLOUR)


def test_pictures_of_a_case_have_one_size(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{name}.png", 6, width) for name, width in (("a", 9), ("b", 8))]
    with pytest.raises(DataError, match=r"b\.png .*a\.png"):
        read_pictures(case(*files), recipe("flat", ("x", "y"), ".png", (8, 8)))


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_what_is_cut_off_is_refused_by_name(share: float, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 30, 30)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"a\.png cannot be used"):
        read_pictures(case(path), recipe("flat", ("x",), ".png", (8, 8)))


def test_a_stack_has_three_axes(tmp_path: Path) -> None:
    ((_, found),) = read_pictures(case(stack(tmp_path / "a.tif")), STACK)
    assert np.array_equal(found, voxels((4, 6, 7), np.uint16)[None])
    with pytest.raises(DataError, match="takes stacks of slices"):
        read_pictures(case(stack(tmp_path / "b.tif", (6, 7))), STACK)


def spacing_of(folder: Path, text: str | None) -> tuple[tuple[float, ...], list[str]]:
    stack(folder / "a_0000.tif")
    if text is not None:
        (folder / "a.json").write_text(text)
    warnings: list[str] = []
    return stack_spacing(find_cases(folder / "a_0000.tif", STACK)[0], STACK, warnings), warnings


def test_spacing_lies_beside_the_stack(tmp_path: Path) -> None:
    assert spacing_of(tmp_path, '{"spacing": [3, 0.5, 0.25]}') == ((3.0, 0.5, 0.25), [])
    (tmp_path / "a.json").unlink()
    found, (warning,) = spacing_of(tmp_path, None)
    assert found == (1, 1, 1) and "a.json" in warning


def test_a_name_that_ends_in_digits_of_its_own_keeps_them(tmp_path: Path) -> None:
    path = stack(tmp_path / "scan_2024.tif")
    (tmp_path / "scan_2024.json").write_text('{"spacing": [2, 1, 1]}')
    assert stack_spacing(Case("scan_2024", (path,), "files"), STACK, []) == (2, 1, 1)


@pytest.mark.parametrize(
    "text", ["", "[1, 1, 1]", '{"spacing": [1, 1]}', '{"spacing": "abc"}', '{"spacing": [0, 1, 1]}',
             '{"spacing": [NaN, 1, 1]}', '{"spacing": [1, 1, -1]}', '{"spacing": [1, Infinity, 1]}', '{"x": 1}']
)  # fmt: skip
def test_a_file_beside_that_gives_none_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.json gives (no|the) spacing"):
        spacing_of(tmp_path, text)
