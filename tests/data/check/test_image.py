import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from medmamba.data.check.image import examine
from medmamba.data.check.run import check
from tests.data import bad

VOLUME = np.random.default_rng(0).normal(0, 100, (9, 8, 7)).astype(np.int16)


def kinds(path: Path, role: str = "image") -> list[str]:
    return [kind for kind, _ in examine(path, role).faults]


def write(path: Path) -> Path:
    """A sound file of any format."""
    flat = path.suffix in (".png", ".bmp")
    image = sitk.GetImageFromArray(np.abs(VOLUME[0]).astype(np.uint8) if flat else VOLUME)
    if not flat:
        image.SetSpacing((1, 2, 3))
    sitk.WriteImage(image, str(path), path.suffix in (".nrrd", ".mha"))
    return path


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha", "gipl", "tif", "tiff", "png", "bmp"])
def test_every_format_is_read_whole_or_refused(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"image.{ending}")
    examined = examine(path, "image")
    assert examined.faults == () and examined.values is not None
    assert examined.shape == ((7, 8) if ending in ("png", "bmp") else (7, 8, 9))
    whole = path.read_bytes()
    for size in (3, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        (kind,) = kinds(path)
        assert kind in ("truncated", "damaged", "not-an-image"), size


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["nii.gz", "nii", "mha", "png"]), st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_garbage_is_a_finding_and_never_an_exception(ending: str, where: int, what: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"image.{ending}")
        before = examine(path, "image")
        content = bytearray(path.read_bytes())
        where %= len(content)
        content[where : where + len(what)] = what
        path.write_bytes(content)
        after = examine(path, "image")
        assert ending in ("nii", "mha") or after.faults or after == before  # nothing but a checksum sees changed voxels


def test_colour_photographs_and_masks(tmp_path: Path) -> None:
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        colours = sitk.GetImageFromArray(random.integers(0, 255, (12, 10, 3), np.uint8), isVector=True)
        sitk.WriteImage(colours, str(tmp_path / "imagesTr" / f"c{number}_0000.png"))
        mask = np.zeros((12, 10), np.uint8)
        mask[2:5, 3:6] = 1
        sitk.WriteImage(sitk.GetImageFromArray(mask), str(tmp_path / "labelsTr" / f"c{number}.png"))
    (tmp_path / "dataset.json").write_text(
        '{"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "polyp": 1},'
        '"numTraining": 4, "file_ending": ".png"}'
    )
    assert check(tmp_path, 0).findings == ()
    sitk.WriteImage(sitk.GetImageFromArray(mask * np.uint8(255)), str(tmp_path / "labelsTr" / "c1.png"))
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(tmp_path / "imagesTr" / "c2_0000.png"))
    found = {finding.kind: finding.case for finding in check(tmp_path, 0).findings}
    assert found == {"missing-channel": "c2", "label-unknown": "c1"}


def test_scaled_voxels_are_scaled(tmp_path: Path) -> None:
    path = tmp_path / "scaled.nii.gz"
    bad.save(path, np.arange(8 * 8 * 8, dtype=np.int16).reshape(8, 8, 8))
    bad.header(path, scl_slope=0.5, scl_inter=-1)
    examined = examine(path, "label")
    assert examined.values is not None
    assert (examined.values.low, examined.values.high) == (-1.0, 254.5)
    assert [kind for kind, _ in examined.faults] == ["label-fraction"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_nifti_2(tmp_path: Path, order: str) -> None:
    import nibabel

    for number, kind in enumerate((nibabel.Nifti1Image, nibabel.Nifti2Image)):
        header = kind.header_class(endianness=order)
        header.set_data_dtype(np.int16)
        path = tmp_path / f"{number}.nii.gz"
        nibabel.save(kind(VOLUME.T.astype(f"{order}i2"), np.diag([1.0, 2.0, 3.0, 1.0]), header), path)
        examined = examine(path, "image", reader="nibabel")
        assert kinds(path) == ["reader-refuses"] * number  # ITK knows NIfTI-1 only
        assert examined.faults == () and examined.values is not None and examined.geometry is not None
        assert examined.values.low == VOLUME.min() and examined.geometry.spacing == (1, 2, 3)
        assert examined.values.digest == examine(write(tmp_path / "itk.nii.gz"), "image").values.digest  # type: ignore[union-attr]


def test_labels_are_counted_whatever_they_are_stored_in(tmp_path: Path) -> None:
    array = np.zeros((40, 40, 40), np.int32)
    array[:2], array[3, 3, 3] = 7, 1_000_000
    for dtype in (np.int32, np.float32, np.float64):
        path = tmp_path / f"{np.dtype(dtype).name}.nii.gz"
        bad.save(path, array.astype(dtype))
        values = examine(path, "label").values
        assert values is not None and values.labels == {0: 40**3 - 3201, 7: 3200, 1_000_000: 1}


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "image.nii.gz")
    before, content = examine(path, "image"), gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:500]) + gzip.compress(content[500:]))
    assert examine(path, "image") == before


def test_tiff_stacks(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", VOLUME, compression="zlib")
    assert examine(tmp_path / "stack.tif", "image").shape == (7, 8, 9)
    tifffile.imwrite(tmp_path / "four.tif", np.zeros((2, 3, 4, 5), np.uint8), photometric="minisblack")
    assert kinds(tmp_path / "four.tif") == ["dimensions"]
