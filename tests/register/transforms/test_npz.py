"""Fields as NumPy archives: what `test_files.py` does not say of them."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.errors import ConfigError, DataError
from medmamba.register.grid import Grid
from medmamba.register.transforms.nifti import in_voxels
from medmamba.register.transforms.npz import read_npz, write_learn2reg_npz, write_voxel_npz
from medmamba.register.transforms.transform import Affine, Field
from tests.predict.made_images import ORIENTATIONS, affine
from tests.register.made import FIXED, MOVING, field, registration

ZEROS = np.zeros((4, 5, 6, 3), np.float32)
INNER = FIXED.world(np.random.default_rng(0).uniform(2, np.array(FIXED.shape) - 3, (40, 3)))


@settings(max_examples=12, deadline=None)
@given(st.tuples(*[st.integers(2, 9)] * 3), st.sampled_from(ORIENTATIONS), st.tuples(*[st.floats(-40, 40)] * 3))
def test_there_and_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int, int], axes: tuple, angles: tuple
) -> None:
    grid = Grid(shape, affine((0.7, 2.5, 1.4), angles, *axes))
    before, path = field(grid), tmp_path_factory.mktemp("field") / "d.npz"
    write_voxel_npz(before, path)
    (after,) = read_npz(path).parts
    assert isinstance(after, Field) and after.displacement.dtype == np.float32
    assert np.array_equal(after.displacement, before.displacement) and np.array_equal(after.grid.affine, grid.affine)


def test_its_own_grid_goes_before_the_reference(tmp_path: Path) -> None:
    write_voxel_npz(field(), tmp_path / "d.npz")
    (part,) = read_npz(tmp_path / "d.npz", MOVING, MOVING).parts
    assert isinstance(part, Field) and part.grid.same_as(FIXED, 1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8])
def test_numbers_of_any_kind(tmp_path: Path, dtype: type) -> None:
    array = np.round(4 * field().displacement).astype(dtype)
    np.savez(tmp_path / "d.npz", displacement=array, affine=np.diag([2, 2, 3, 1]))
    (part,) = read_npz(tmp_path / "d.npz").parts
    assert isinstance(part, Field) and np.array_equal(part.displacement, array.astype(np.float32))
    assert part.grid.spacing == (2, 2, 3)


def test_learn2regs_array_between_two_images(tmp_path: Path) -> None:
    write_learn2reg_npz(in_voxels(registration(), FIXED, MOVING), tmp_path / "disp.npz")
    with np.load(tmp_path / "disp.npz") as archive:
        assert len(archive.files) == 1 and archive[archive.files[0]].shape == (*FIXED.shape, 3)
    found = read_npz(tmp_path / "disp.npz", FIXED, MOVING)
    assert [type(part) for part in found.parts] == [Field, Affine]
    assert np.allclose(found.points(INNER), registration().points(INNER), atol=0.05)
    alone = read_npz(tmp_path / "disp.npz", FIXED)  # as if both images had one grid: another map
    assert np.abs(alone.points(INNER) - registration().points(INNER)).max() > 1


def test_text_beside_the_arrays_is_nothing(tmp_path: Path) -> None:
    write_voxel_npz(field(), tmp_path / "d.npz")
    with zipfile.ZipFile(tmp_path / "d.npz", "a") as archive:
        archive.writestr("readme.txt", "made by hand")
    assert len(read_npz(tmp_path / "d.npz").parts) == 1


def save(**arrays: np.ndarray) -> Callable[[Path], object]:
    return lambda path: np.savez(path, **arrays)


def text_alone(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def without_archive(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, ZEROS)


def cut(path: Path) -> None:
    np.savez(path, displacement=ZEROS, affine=np.eye(4))
    path.write_bytes(path.read_bytes()[:-60])


def spoilt(path: Path) -> None:
    np.savez_compressed(path, displacement=np.random.default_rng(0).random((4, 5, 6, 3)), affine=np.eye(4))
    content = bytearray(path.read_bytes())
    content[300:340] = bytes(40)
    path.write_bytes(content)


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "flat grid": ("voxel size of zero", save(displacement=ZEROS, affine=np.zeros((4, 4)))),
    "no place": ("affine that is not finite", save(displacement=ZEROS, affine=np.full((4, 4), np.nan))),
    "words for a place": ("affine that is not finite", save(displacement=ZEROS, affine=np.full((4, 4), "one"))),
    "small affine": (r"affine of shape \(3, 3\)", save(displacement=ZEROS, affine=np.eye(3))),
    "two components": (r"displacement of shape \(4, 5, 6, 2\)", save(displacement=ZEROS[..., :2], affine=np.eye(4))),
    "no voxel": ("without a voxel", save(displacement=ZEROS[:0], affine=np.eye(4))),
    "not finite": ("not finite numbers", save(displacement=ZEROS + np.inf, affine=np.eye(4))),
    "too large": ("not finite numbers", save(displacement=np.full(ZEROS.shape, 1e300), affine=np.eye(4))),
    "truth values": ("not finite numbers", save(displacement=ZEROS > 0, affine=np.eye(4))),
    "place alone": (r"array of shape \(4, 4\)", save(affine=np.eye(4))),
    "nothing": (r"arrays \(none\)", text_alone),
    "no archive": ("one array without an archive", without_archive),
    "cut": ("no NumPy archive that can be read", cut),
    "spoilt": ("no NumPy archive that can be read", spoilt),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_field(tmp_path: Path, name: str) -> None:
    words, make = BAD[name]
    make(tmp_path / "d.npz")
    with pytest.raises(DataError, match=words) as caught:
        read_npz(tmp_path / "d.npz")
    assert "d.npz" in caught.value.problem and caught.value.remedy and "\n" not in caught.value.problem


@pytest.mark.parametrize("name", ["d.npy", "d", "d.npz.gz", "D.NPZ"])
def test_other_endings_are_not_written(tmp_path: Path, name: str) -> None:
    for write in (write_voxel_npz, write_learn2reg_npz):
        with pytest.raises(ConfigError, match="no ending of a NumPy archive"):
            write(field(), tmp_path / name)
    assert not list(tmp_path.iterdir())
