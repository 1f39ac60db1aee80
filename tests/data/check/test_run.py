import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from medmamba.data.check.findings import KINDS, CheckReport
from medmamba.data.check.image import examine
from medmamba.data.check.run import check, require_sound
from medmamba.errors import DataError
from tests.data import bad


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return bad.write_sound(tmp_path / "Dataset950_Sound")


def kinds(report: CheckReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def test_a_sound_dataset_gives_nothing(sound: Path) -> None:
    report = check(sound, 0)
    assert kinds(report) == [] and report.exit_code == 0
    assert (report.training, report.test, report.files) == (5, 2, 21)


@pytest.mark.parametrize("name", bad.BAD)
def test_each_damage_gives_its_own_finding_and_no_other(sound: Path, name: str) -> None:
    kind, damage = bad.BAD[name]
    damage(sound)
    report = check(sound, 0)
    assert set(kinds(report)) == {kind}, [(finding.kind, finding.text) for finding in report.findings]
    finding = report.findings[0]
    assert finding.text and finding.remedy
    assert report.exit_code == (4 if KINDS[kind].severity == "error" else 0)


@pytest.mark.parametrize("name", ["Dataset004_Hippocampus", "Dataset137_BraTSTiny", "Dataset291_CTOrgans"])
def test_real_datasets_are_sound(shared_data: Path, name: str) -> None:
    assert kinds(check(shared_data / name, 2)) == []


def test_case_and_file_are_named_and_the_values_told(sound: Path) -> None:
    bad.change(bad.label(sound), lambda array: np.where(array == 2, 4, array))
    (finding,) = check(sound, 0).findings
    assert (finding.case, finding.file) == ("c1", bad.label(sound))
    assert finding.text == "It holds 4 (27 voxels); declared are 0, 1, 2."


def test_transposed_axes_are_called_so(sound: Path) -> None:
    bad.label_with_transposed_axes(sound)
    (finding,) = check(sound, 0).findings
    assert "8 x 10 x 12 voxels" in finding.text and "transposed" in finding.text


def test_several_damages_are_all_told(sound: Path) -> None:
    bad.file_of_no_bytes(sound)
    bad.label_shifted(sound)  # of the case whose CT is gone: its PET is compared instead
    bad.nan_in_an_image(sound)
    bad.wrong_number_of_cases(sound)
    bad.change(bad.label(sound, "c3"), np.zeros_like)
    assert kinds(check(sound, 0)) == ["json-count", "empty-file", "not-finite", "label-geometry", "label-empty"]


def test_files_named_by_dataset_json(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSEWHERE", str(sound / "imagesTr"))
    table = bad.files(sound)
    table["c0"]["images"] = ["$ELSEWHERE/c0_0000.nii.gz", "imagesTr/c0_0001.nii.gz"]
    bad.description(sound, dataset=table)
    report = check(sound, 0)
    assert kinds(report) == [] and (report.training, report.files) == (5, 21)


def test_region_labels_and_ignore_are_sound(sound: Path) -> None:
    labels = {"background": 0, "whole": [1, 2], "tumour": [2], "ignore": 3}
    bad.description(sound, labels=labels, regions_class_order=[1, 2])
    bad.change(bad.label(sound), lambda array: np.where(array == 1, 3, array))
    assert kinds(check(sound, 0)) == []


def test_regions_may_merge_labels(sound: Path) -> None:
    bad.change(bad.label(sound), lambda array: np.where(array == 1, 3, array))
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3]}
    bad.description(sound, labels=labels, regions_class_order=[1, 2])
    assert kinds(check(sound, 0)) == []


def test_orientation_is_nothing_where_the_reader_reorients(sound: Path) -> None:
    bad.one_case_turned(sound)
    bad.description(sound, overwrite_image_reader_writer="NibabelIOWithReorient")
    assert kinds(check(sound, 0)) == []


def test_what_nibabel_reads_is_judged_by_nibabel(sound: Path) -> None:
    bad.sheared_axes(sound)
    bad.description(sound, overwrite_image_reader_writer="NibabelIO")
    assert set(kinds(check(sound, 0))) == {"sheared"}
    bad.fourth_axis_of_one(sound)
    bad.description(sound, overwrite_image_reader_writer="NibabelIO")
    assert "reader-refuses" in kinds(check(sound, 0))


def test_a_grey_video_in_three_colours_is_sound(sound: Path) -> None:
    for image in sound.glob("images*/*_0000.nii.gz"):
        image.with_name(image.name.replace("_0000", "_0001")).write_bytes(image.read_bytes())
    assert set(kinds(check(sound, 0))) == {"same-channels"}
    bad.description(sound, channel_names={"0": "rgb_to_0_1", "1": "rgb_to_0_1"})
    assert kinds(check(sound, 0)) == []


def test_hidden_labels_are_nothing(sound: Path) -> None:
    (sound / "labelsTr" / "._c1.nii.gz").write_bytes(b"left by a Mac")
    assert kinds(check(sound, 0)) == []


def test_many_scales_in_mr_are_no_outliers_but_in_ct_they_are(sound: Path) -> None:
    for case, factor in (("c1", 100), ("c2", 1000)):
        bad.change(bad.pet(sound, case), lambda array, factor=factor: array * factor)
    assert kinds(check(sound, 0)) == []
    bad.description(sound, channel_names={"0": "CT", "1": "noNorm"})
    assert kinds(check(sound, 0)) == ["intensity", "intensity"]


def test_what_training_needs_must_be_sound(sound: Path) -> None:
    bad.test_image_among_the_training_images(sound)
    bad.label_with_background_only(sound)
    assert kinds(require_sound(sound, 0)) == ["label-empty"]
    bad.gzip_cut_short(sound)
    bad.wrong_number_of_cases(sound)
    with pytest.raises(DataError, match="Dataset950_Sound is not a sound nnU-Net dataset: 2 errors") as raised:
        require_sound(sound, 0)
    assert "imagesTr/c1_0000.nii.gz: The gzip stream ends" in raised.value.problem
    assert raised.value.remedy == f"Run: medmamba datasets check {sound}"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none is no folder"):
        check(tmp_path / "none")


def test_progress_counts_cases(sound: Path) -> None:
    told: list[tuple[str, int, int]] = []
    check(sound, 0, lambda *step: told.append(step))
    assert told == [(case, number + 1, 7) for number, case in enumerate((*bad.CASES, *bad.TESTS))]


@pytest.fixture
def nobody(sound: Path) -> Iterator[None]:
    """A user who is not root, who reads what he likes."""
    root = os.geteuid() == 0
    if root:
        for folder in (sound.parent, *sound.parents[:3]):
            folder.chmod(0o755)
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)
    for path in sound.rglob("*"):
        path.chmod(0o755)


@pytest.mark.parametrize("what", ["imagesTr/c1_0000.nii.gz", "labelsTs", "dataset.json", "."])
def test_what_may_not_be_read(sound: Path, nobody: None, what: str) -> None:
    user = os.geteuid()
    if user == 65534:
        os.seteuid(0)
    (sound / what).chmod(0)
    if user == 65534:
        os.seteuid(user)
    if what == "dataset.json":
        assert kinds(check(sound, 0)) == ["json-invalid"]
    else:
        assert set(kinds(check(sound, 0))) - {"no-cases", "json-invalid"} == {"permission"}


def test_a_process_that_dies_takes_only_its_file(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medmamba.data.check.run.examine", bad.examine_or_die)
    for case in ("c1", "c3"):
        bad.pet(sound, case).rename(sound / "imagesTr" / f"killer-{case}_0001.nii.gz")
    table = bad.files(sound)
    for case in ("c1", "c3"):
        table[case]["images"][1] = f"imagesTr/killer-{case}_0001.nii.gz"
    bad.description(sound, dataset=table)
    bad.label_with_background_only(sound)
    report = check(sound, 2)
    assert kinds(report) == ["crash", "crash", "label-empty"]
    assert [finding.case for finding in report.findings] == ["c1", "c3", "c1"]


def test_one_file_in_memory_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "large.nii"
    bad.save(path, np.arange(200 * 200 * 400, dtype=np.int16).reshape(200, 200, 400))
    tracemalloc.start()
    try:
        examined = examine(path, "image")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert examined.values is not None and examined.faults == ()
    assert peak < path.stat().st_size + 24 * 2**20
