"""ITK's files: what `test_files.py` does not say of them."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.errors import ConfigError, DataError
from medmamba.register.transforms.itk import AFFINE, COMPOSITE, merged, read_itk, write_itk
from medmamba.register.transforms.transform import Affine, Field, Transform
from tests.register.made import FIXED, MOVING, field, registration, turn

LPS = np.array([-1.0, -1.0, 1.0])
POINTS = FIXED.world([[3, 4, 5], [8.5, 11.25, 6], [13, 2.75, 9.5]])


def through(transform: sitk.Transform, ras: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in (ras * LPS).tolist()]) * LPS


@pytest.mark.parametrize("ending", COMPOSITE)
def test_a_composite_keeps_its_parts_and_their_order(tmp_path: Path, ending: str) -> None:
    before = Transform((turn(1), field(FIXED), turn(2), field(MOVING, seed=5)))
    write_itk(before, tmp_path / f"t{ending}")
    after = read_itk(tmp_path / f"t{ending}")
    assert [type(part) for part in after.parts] == [Affine, Field, Affine, Field]
    for ours, theirs, grid in zip(before.fields, after.fields, (FIXED, MOVING), strict=True):
        assert theirs.grid.same_as(grid, 1e-9)
        assert np.allclose(ours.displacement, theirs.displacement, atol=1e-6)
    assert np.allclose(after.points(POINTS), before.points(POINTS), atol=1e-6)
    assert np.allclose(through(sitk.ReadTransform(str(tmp_path / f"t{ending}")), POINTS), before.points(POINTS))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(AFFINE + COMPOSITE), st.lists(st.integers(0, 999), max_size=3))
def test_affine_maps_lose_nothing(tmp_path_factory: pytest.TempPathFactory, ending: str, seeds: list[int]) -> None:
    """Also none at all: a file of the identity."""
    path, before = tmp_path_factory.mktemp("affine") / f"t{ending}", Transform(tuple(turn(seed) for seed in seeds))
    write_itk(before, path)
    after = read_itk(path)
    assert len(after.parts) == (max(1, len(seeds)) if ending in COMPOSITE else 1)
    assert np.allclose(after.points(POINTS), before.points(POINTS), atol=1e-9)


def test_parts_are_merged_in_the_order_in_which_points_meet_them() -> None:
    found = merged(Transform((turn(1), turn(2))), Path("t.tfm"))
    assert np.allclose(found.matrix, turn(2).matrix @ turn(1).matrix)
    assert not np.allclose(found.matrix, turn(1).matrix @ turn(2).matrix)
    assert np.array_equal(merged(Transform(()), Path("t.tfm")).matrix, np.eye(4))
    with pytest.raises(ConfigError, match=r"t\.tfm can hold an affine map only"):
        merged(registration(), Path("t.tfm"))


@pytest.mark.parametrize(
    "transform",
    [
        sitk.Euler3DTransform((5, 6, 7), 0.1, 0.2, 0.3, (4, 5, 6)),
        sitk.VersorRigid3DTransform((0, 0, 1), 0.2, (1, 2, 3), (9, 8, 7)),
        sitk.ScaleTransform(3, (1.1, 0.9, 1.2)),
        sitk.CompositeTransform([sitk.TranslationTransform(3, (1, 2, 3)), sitk.Euler3DTransform((5, 6, 7), 0, 0, 0.3)]),
    ],
)
def test_what_simpleitk_writes_as_text(tmp_path: Path, transform: sitk.Transform) -> None:
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    ours = read_itk(tmp_path / "t.tfm")
    assert all(isinstance(part, Affine) for part in ours.parts)
    assert np.allclose(ours.points(POINTS), through(transform, POINTS), atol=1e-9)


def test_a_spline_needs_a_reference(tmp_path: Path) -> None:
    spline = sitk.BSplineTransformInitializer(FIXED.reference(), [4, 4, 4], order=3)
    spline.SetParameters(np.random.default_rng(0).normal(size=len(spline.GetParameters())).tolist())
    sitk.WriteTransform(
        sitk.CompositeTransform([sitk.Euler3DTransform((0, 0, 0), 0, 0, 0.1), spline]), str(tmp_path / "t.h5")
    )
    with pytest.raises(DataError, match="BSpline") as caught:
        read_itk(tmp_path / "t.h5")
    assert "t.h5" in caught.value.problem and "reference" in caught.value.remedy
    ours = read_itk(tmp_path / "t.h5", FIXED)
    at = FIXED.world([[3, 4, 5], [8, 8, 8]])
    assert np.allclose(ours.points(at), through(sitk.ReadTransform(str(tmp_path / "t.h5")), at), atol=1e-4)


@pytest.mark.parametrize("name", ["T.TFM", "T.Mat", "T.H5"])
def test_endings_in_capitals_are_read(tmp_path: Path, name: str) -> None:
    small = tmp_path / name.lower()
    write_itk(Transform((turn(),)), small)
    small.rename(tmp_path / name)
    assert np.allclose(read_itk(tmp_path / name).parts[0].matrix, turn().matrix)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["t.nii.gz", "t", "t.h5.gz", "T.H5", "T.TFM"])
def test_endings_that_itk_does_not_write(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no ending of ITK's transforms") as caught:
        write_itk(Transform((turn(),)), tmp_path / name)
    assert name in caught.value.problem and ".h5" in caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_an_older_file_stays_where_the_new_one_cannot_be(tmp_path: Path) -> None:
    write_itk(Transform((turn(),)), tmp_path / "t.tfm")
    before = (tmp_path / "t.tfm").read_bytes()
    with pytest.raises(ConfigError):
        write_itk(registration(), tmp_path / "t.tfm")
    assert (tmp_path / "t.tfm").read_bytes() == before


@pytest.mark.parametrize(
    "matrix", [np.diag([1.0, 1, 0, 1]), np.diag([1.0, np.nan, 1, 1])], ids=["flat", "not a number"]
)
def test_a_part_that_cannot_be_undone_is_refused_wherever_it_stands(tmp_path: Path, matrix: np.ndarray) -> None:
    write_itk(Transform((turn(1), field(), Affine(matrix))), tmp_path / "t.h5")
    with pytest.raises(DataError, match=r"t\.h5 holds an affine map that flattens space or is not finite"):
        read_itk(tmp_path / "t.h5")


@pytest.mark.parametrize(("version", "at", "size"), [(0, 40, 96), (1, 44, 100), (2, 28, 48), (3, 28, 48)])
def test_every_version_of_hdf5_tells_its_length(tmp_path: Path, version: int, at: int, size: int) -> None:
    """By HDF5's own description of its first bytes: 8 of a signature, the version, and the end of the file at `at`."""
    head = bytearray(b"\x89HDF\r\n\x1a\n" + bytes([version]) + bytes(size - 9))
    for wanted, words in ((size + 1, f"truncated: it has {size} bytes of {size + 1}"), (size, "ITK can read")):
        head[at : at + 8] = wanted.to_bytes(8, "little")
        (tmp_path / "t.h5").write_bytes(head)
        with pytest.raises(DataError, match=words):
            read_itk(tmp_path / "t.h5")
