import json
from pathlib import Path
from typing import Any

import pytest

from tests.data import bad


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return bad.write_sound(tmp_path / "nnUNet_raw" / "Dataset950_Sound")


def test_help_shows_an_example(run: Any) -> None:
    assert "medmamba datasets check" in run("datasets", "check", "--help").stdout.split("Example")[1]


def test_a_sound_dataset_by_name_number_and_folder(run: Any, sound: Path, tmp_path: Path) -> None:
    for name in ("Sound", "950", "Dataset950_Sound", sound):
        result = run("datasets", "check", name, "--data-root", tmp_path, "--processes", 0)
        assert result.exit_code == 0
        assert "5 training and 2 test cases, 21 files: no errors, no warnings." in result.stdout


def test_a_table_a_problem_in_eighty_columns(run: Any, sound: Path) -> None:
    bad.gzip_cut_short(sound)
    bad.login_page_instead_of_the_download(sound.parent / "Dataset950_Sound")
    bad.label_shifted(sound)
    bad.change(bad.label(sound, "c3"), lambda array: array * 0)
    long = "[a" * 30
    bad.ct(sound, "c2").rename(sound / "imagesTr" / f"{long}_0000.nii.gz")
    result = run("datasets", "check", sound, "--processes", 0)
    assert result.exit_code == 4
    assert max(map(len, result.stdout.splitlines())) <= 80
    plain = " ".join(result.stdout.split())
    assert "[a[a[a" in plain and "error: A web page instead of an image (1)" in plain
    assert "warning: Label with background only (1)" in plain
    assert "Log in where it came from and download it again." in plain
    assert plain.endswith("errors, 1 warning.")


def test_a_long_list_is_cut_and_counted(run: Any, sound: Path) -> None:
    for number in range(25):
        (sound / "labelsTr" / f"more{number}.nii.gz").write_bytes(bad.label(sound).read_bytes())
    result = run("datasets", "check", sound, "--processes", 0)
    assert result.exit_code == 0
    assert "(25)" in result.stdout and "and 15 more" in result.stdout and result.stdout.count("labelsTr/") == 10


def test_json_is_all_of_it(run: Any, sound: Path) -> None:
    bad.nan_in_an_image(sound)
    bad.label_off_by_rounding(sound)
    content = json.loads(run("datasets", "check", sound, "--json", "--processes", 0).stdout)
    assert (content["errors"], content["warnings"], content["tolerance_voxels"]) == (1, 1, 0.1)
    assert [(finding["kind"], finding["case"]) for finding in content["findings"]] == [
        ("not-finite", "c1"), ("label-rounding", "c1"),
    ]  # fmt: skip
    assert content["findings"][0]["file"].endswith("imagesTr/c1_0001.nii.gz")
    assert content["fixed"] == content["refused"] == []


def test_fix_affine_says_what_it_did(run: Any, sound: Path) -> None:
    bad.label_off_by_rounding(sound)
    asked = run("datasets", "check", sound, "--processes", 0)
    assert "1 file(s) differ by rounding (at most 0.1 voxel): --fix-affine mends them." in " ".join(
        asked.stdout.split()
    )
    done = run("datasets", "check", sound, "--fix-affine", "--processes", 0)
    assert done.exit_code == 0
    assert "Geometry written anew: 1 file(s)" in done.stdout
    assert "labelsTr/c1.nii.gz" in done.stdout and "0.04 mm (0.05 voxel)" in done.stdout
    assert "no warnings" in run("datasets", "check", sound, "--fix-affine", "--processes", 0).stdout


def test_fix_affine_leaves_real_differences(run: Any, sound: Path) -> None:
    bad.label_shifted(sound)
    before = bad.label(sound).read_bytes()
    result = run("datasets", "check", sound, "--fix-affine", "--processes", 0)
    assert result.exit_code == 4 and "Tolerance: 0.1 voxel" in " ".join(result.stdout.split())
    assert bad.label(sound).read_bytes() == before


def test_a_folder_without_dataset_json_is_still_looked_at(run: Any, sound: Path) -> None:
    bad.no_dataset_json(sound)
    result = run("datasets", "check", sound, "--processes", 0)
    assert result.exit_code == 4 and "dataset.json is missing" in result.stdout and "21 files" in result.stdout


def test_an_unknown_name_is_told(run: Any) -> None:
    result = run("datasets", "check", "Nothing")
    assert result.exit_code == 4 and "There is no dataset 'Nothing'." in result.stderr
