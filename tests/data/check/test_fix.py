import gzip
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.data.check.findings import CheckReport
from medmamba.data.check.fix import RECORD, fix_geometry
from medmamba.data.check.run import check
from medmamba.files import read_json
from tests.data import bad


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return bad.write_sound(tmp_path / "Dataset950_Sound")


def kinds(report: CheckReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def voxels(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())[352:]


def test_rounding_is_mended_and_recorded(sound: Path) -> None:
    bad.label_off_by_rounding(sound)
    bad.change(bad.pet(sound, "c3"), bad.same, bad.affine() @ np.diag([1.0001, 1, 1, 1]))
    before = {path: voxels(path) for path in (bad.label(sound), bad.pet(sound, "c3"))}
    report = check(sound, 0)
    assert kinds(report) == ["channel-spacing", "label-rounding"]
    changed, refused = fix_geometry(report)
    assert {one.file for one in changed} == set(before) and refused == ()
    assert {path: voxels(path) for path in before} == before
    assert kinds(check(sound, 0)) == kinds(report.without(one.file for one in changed)) == []
    first = next(one for one in read_json(sound / RECORD)["fixed"] if one["file"] == "labelsTr/c1.nii.gz")
    assert first["voxels"] == pytest.approx(0.05, rel=1e-3) and first["millimetres"] == pytest.approx(0.04, rel=1e-3)
    assert first["before"]["srow_x"][3] == pytest.approx(90.04)


@pytest.mark.parametrize("name", ["label_shifted", "channel_shifted", "label_with_transposed_axes", "label_flipped"])
def test_what_is_more_than_rounding_is_left_alone(sound: Path, name: str) -> None:
    bad.BAD[name][1](sound)
    before = {path: path.read_bytes() for path in sound.rglob("*.gz")}
    assert fix_geometry(check(sound, 0)) == ((), ())
    assert {path: path.read_bytes() for path in sound.rglob("*.gz")} == before
    assert not (sound / RECORD).exists()


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_the_source_of_a_link_keeps_its_content(sound: Path, tmp_path: Path, link) -> None:
    bad.label_off_by_rounding(sound)
    source = tmp_path / "download.nii.gz"
    bad.label(sound).rename(source)
    link(source, bad.label(sound))
    before = source.read_bytes()
    assert len(fix_geometry(check(sound, 0))[0]) == 1
    assert source.read_bytes() == before and bad.label(sound).read_bytes() != before
    assert not bad.label(sound).is_symlink() and source.stat().st_nlink == 1


def test_files_outside_the_dataset_are_left_alone(sound: Path, tmp_path: Path) -> None:
    bad.label_off_by_rounding(sound)
    (sound / "labelsTr").rename(tmp_path / "source")
    (sound / "labelsTr").symlink_to(tmp_path / "source")
    before = (tmp_path / "source" / "c1.nii.gz").read_bytes()
    changed, (refusal,) = fix_geometry(check(sound, 0))
    assert changed == () and "outside the dataset's folder" in refusal.text
    assert (tmp_path / "source" / "c1.nii.gz").read_bytes() == before


def test_header_extensions_slope_and_mode_are_kept(sound: Path) -> None:
    path = bad.label(sound)
    image = nibabel.Nifti1Image(bad.stored(path), bad.moved(0.05))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"who drew it"))
    nibabel.save(image, path)
    path.chmod(0o640)
    assert len(fix_geometry(check(sound, 0))[0]) == 1
    after = nibabel.load(path)
    assert after.header.extensions[0].get_content().startswith(b"who drew it")
    assert path.stat().st_mode & 0o777 == 0o640
    assert np.array_equal(np.asanyarray(after.dataobj), np.asanyarray(image.dataobj))


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".gipl"])
def test_formats_of_itk(sound: Path, ending: str) -> None:
    for path in sound.rglob("*.nii.gz"):
        image = sitk.ReadImage(str(path), sitk.sitkFloat32)
        image.SetDirection(np.eye(3).ravel().tolist())  # GIPL holds none
        sitk.WriteImage(image, str(path).replace(".nii.gz", ending))
        path.unlink()
    bad.description(sound, file_ending=ending)
    label = sound / "labelsTr" / f"c1{ending}"
    image = sitk.ReadImage(str(label))
    array = sitk.GetArrayFromImage(image)
    image.SetOrigin([value + 0.02 for value in image.GetOrigin()])
    sitk.WriteImage(image, str(label))
    report = check(sound, 0)
    assert kinds(report) == ["label-rounding"]
    before = label.read_bytes()
    with files_of_at_most(300):
        assert [refusal.file for refusal in fix_geometry(report)[1]] == [label]
    assert label.read_bytes() == before
    assert len(fix_geometry(report)[0]) == 1
    assert kinds(check(sound, 0)) == []
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(label))), array)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk with `size` bytes left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_everything_as_it_was(sound: Path) -> None:
    bad.label_off_by_rounding(sound)
    before = {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()}
    report = check(sound, 0)
    with files_of_at_most(40):
        changed, (refusal,) = fix_geometry(report)
    assert changed == () and refusal.file == bad.label(sound) and "too large" in refusal.text
    assert {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()} == before


def test_a_disk_that_fills_before_the_record_is_kept_leaves_the_file(sound: Path) -> None:
    bad.label_off_by_rounding(sound)
    before = bad.label(sound).read_bytes()
    report = check(sound, 0)
    with files_of_at_most(len(before) + 50):  # room for the label, not for the record
        changed, refused = fix_geometry(report)
    assert changed == () and len(refused) == 1
    assert bad.label(sound).read_bytes() == before and not (sound / RECORD).exists()


def test_a_folder_that_may_not_be_written(sound: Path) -> None:
    bad.label_off_by_rounding(sound)
    for folder in (sound, *sound.parents[:3]):
        folder.chmod(0o755)
    (sound / "labelsTr").chmod(0o555)
    report = check(sound, 0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        changed, (refusal,) = fix_geometry(report)
    finally:
        os.seteuid(user)
        (sound / "labelsTr").chmod(0o755)
    assert changed == () and refusal.text == "Permission denied."
    assert kinds(check(sound, 0)) == ["label-rounding"]
