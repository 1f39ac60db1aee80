import errno
import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.data.cards import Card, card
from medmamba.data.prepare.run import prepare
from medmamba.errors import DataError, SetupError

from ..synthetic import build

BRATS = card("BraTS2021")
ROOT = Path(__file__).parents[3]
TRAINING = "BraTS2021_Training_Data"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    build(BRATS, tmp_path / "download")
    return tmp_path / "download"


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the record, whose times differ."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "prepared.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def first_case(source: Path) -> Path:
    return sorted((source / TRAINING).iterdir())[0]


def rewrite(path: Path, array: np.ndarray) -> None:
    image = sitk.ReadImage(str(path))
    new = sitk.GetImageFromArray(array)
    new.CopyInformation(image)
    sitk.WriteImage(new, str(path))


def test_real_cases(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(shared_data / "brats_native", source)
    done = prepare(card("BraTS2023-GLI"), source, tmp_path / "raw")
    assert (done.training, done.linked, done.extra) == (2, 10, []) and done.counts["training"] == (1251, 2)
    for case in ("BraTS-GLI-00001-000", "TCGA-FG-6692"):
        for place, end in enumerate(("t1n", "t1c", "t2w", "t2f")):
            target = done.folder / "imagesTr" / f"{case}_{place:04d}.nii.gz"
            assert target.samefile(source / case / f"{case}-{end}.nii.gz")
        assert (done.folder / "labelsTr" / f"{case}.nii.gz").samefile(source / case / f"{case}-seg.nii.gz")


@pytest.mark.parametrize("start", ["", TRAINING, "one/more"])
def test_from_may_lie_above_or_below(source: Path, tmp_path: Path, start: str) -> None:
    if start == "one/more":
        (tmp_path / "one").mkdir()
        source = source.rename(tmp_path / "one" / "more").parent
        start = ""
    done = prepare(BRATS, source / start, tmp_path / "raw")
    assert done.training == 3 and done.counts["validation"] == (219, 0 if start else 1)


def test_another_splits_folder_is_not_taken_for_training(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no training case"):
        prepare(BRATS, source / "BraTS2021_ValidationData", tmp_path / "raw")
    with pytest.raises(DataError, match="is no folder"):
        prepare(BRATS, source / "nowhere", tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_unknown_and_broken_labels_are_named_and_the_rest_is_done(source: Path, tmp_path: Path) -> None:
    folders = sorted((source / TRAINING).iterdir())
    strange, broken = (folder / f"{folder.name}_seg.nii.gz" for folder in folders[:2])
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(strange)))
    rewrite(strange, np.where(labels == 4, 3, labels))
    broken.write_bytes(broken.read_bytes()[:-9])
    done = prepare(BRATS, source, tmp_path / "raw")
    assert f"{strange.name} has the label value(s) 3" in done.incomplete[folders[0].name][0]
    told = done.incomplete[folders[1].name][0]
    assert broken.name in told and "truncated" in told
    assert done.training == 1 == json.loads((done.folder / "dataset.json").read_text())["numTraining"]
    assert {path.name for path in (done.folder / "labelsTr").iterdir()} == {f"{folders[2].name}.nii.gz"}
    assert len(list((done.folder / "imagesTr").iterdir())) == 4
    rewrite(strange, labels.astype(np.float32) + 0.5)
    assert "no whole number" in prepare(BRATS, source, tmp_path / "raw").incomplete[folders[0].name][0]
    rewrite(strange, labels)
    assert prepare(BRATS, source, tmp_path / "raw").training == 2


def test_a_changed_source_is_done_again_and_nothing_else(source: Path, tmp_path: Path) -> None:
    done = prepare(BRATS, source, tmp_path / "raw")
    case = first_case(source)
    label = case / f"{case.name}_seg.nii.gz"
    rewrite(label, np.full((4, 7, 8), 4, np.uint8))
    image = case / f"{case.name}_t2.nii.gz"
    new = sitk.GetImageFromArray(np.zeros((4, 7, 8), np.int16))
    image.unlink()  # else the link would change with it
    sitk.WriteImage(new, str(image))
    again = prepare(BRATS, source, tmp_path / "raw")
    assert (again.linked, again.converted, again.kept) == (1, 1, done.linked + done.converted - 2)
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(done.folder / "labelsTr" / f"{case.name}.nii.gz")))
    assert (read == 3).all() and (done.folder / "imagesTr" / f"{case.name}_0002.nii.gz").samefile(image)


def test_a_case_that_is_gone_goes_and_what_is_not_ours_stays(source: Path, tmp_path: Path) -> None:
    done = prepare(BRATS, source, tmp_path / "raw")
    (done.folder / "imagesTr" / "mine_0000.nii.gz").write_text("mine")
    shutil.rmtree(first_case(source))
    again = prepare(BRATS, source, tmp_path / "raw")
    assert again.training == 2 and len(again.removed) == 5 and again.foreign == ["imagesTr/mine_0000.nii.gz"]
    assert (done.folder / "imagesTr" / "mine_0000.nii.gz").read_text() == "mine"


def test_a_damaged_target_is_made_again(source: Path, tmp_path: Path) -> None:
    done = prepare(BRATS, source, tmp_path / "raw", copy=True)
    before = contents(done.folder)
    label, image = (next((done.folder / part).iterdir()) for part in ("labelsTr", "imagesTr"))
    label.write_text("damaged")
    image.unlink()
    again = prepare(BRATS, source, tmp_path / "raw", copy=True)
    assert (again.converted, again.copied) == (1, 1) and contents(done.folder) == before


def test_copies_where_asked_for_or_where_links_cannot_be(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = prepare(BRATS, source, tmp_path / "raw")
    before = contents(linked.folder)
    copied = prepare(BRATS, source, tmp_path / "raw", copy=True)
    assert copied.copied == linked.linked and contents(linked.folder) == before
    assert all(path.stat().st_nlink == 1 for path in (linked.folder / "imagesTr").iterdir())

    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    other = prepare(BRATS, source, tmp_path / "elsewhere")
    assert other.copied == linked.linked and contents(other.folder) == before


def test_the_download_is_never_changed(source: Path, tmp_path: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.rglob("*") if path.is_file()}
    prepare(BRATS, source, tmp_path / "raw")
    prepare(BRATS, source, tmp_path / "raw", copy=True)
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.rglob("*") if path.is_file()
    } == before


def test_junk_extra_and_unfetched_files(source: Path, tmp_path: Path) -> None:
    case = first_case(source)
    (case / f"._{case.name}_seg.nii.gz").write_text("macOS")
    (source / "__MACOSX").mkdir()
    (source / "__MACOSX" / "x.nii.gz").write_text("macOS")
    (case / "notes.pdf").write_text("extra")
    (case / "README.md").write_text("known")
    image = case / f"{case.name}_t1.nii.gz"
    image.unlink()
    image.symlink_to(tmp_path / "never" / "fetched")
    done = prepare(BRATS, source, tmp_path / "raw")
    assert done.extra == [f"{TRAINING}/{case.name}/notes.pdf"]
    assert done.incomplete == {case.name: (f"{case.name}/{case.name}_t1.nii.gz is missing",)}


def test_names_that_clash_are_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "raw" / BRATS.folder_name).mkdir(parents=True)
    (tmp_path / "raw" / BRATS.folder_name / "dataset.json").write_text("{}")
    with pytest.raises(DataError, match="was not made by"):
        prepare(BRATS, source, tmp_path / "raw")
    (tmp_path / "raw" / BRATS.folder_name).rename(tmp_path / "raw" / "Dataset137_Other")
    with pytest.raises(DataError, match="Dataset137_Other has the number 137"):
        prepare(BRATS, source, tmp_path / "raw")


def test_killed_before_the_first_record(source: Path, tmp_path: Path) -> None:
    (tmp_path / "raw" / BRATS.folder_name / ".writing-abc").mkdir(parents=True)
    done = prepare(BRATS, source, tmp_path / "raw")
    assert done.training == 3 and not leftovers(done.folder) and not list(done.folder.glob(".*"))


def test_card_without_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not say how a download looks"):
        prepare(BRATS.model_copy(update={"layout": ()}), tmp_path, tmp_path / "raw")


def test_trouble_with_the_target_is_one_sentence(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SetupError, match="cannot be written: Not a directory"):
        prepare(BRATS, source, tmp_path / "file" / "raw")
    monkeypatch.setattr("medmamba.data.prepare.run.free_disk", lambda _: 100)
    with pytest.raises(SetupError, match="are free"):
        prepare(BRATS, source, tmp_path / "raw", copy=True)
    monkeypatch.undo()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(SetupError, match=r"The disk of .* is full"):
        prepare(BRATS, source, tmp_path / "raw", copy=True)
    assert not (tmp_path / "raw" / BRATS.folder_name / "dataset.json").exists()
    monkeypatch.undo()
    assert prepare(BRATS, source, tmp_path / "raw", copy=True).training == 3


def test_two_at_a_time_are_refused(source: Path, tmp_path: Path) -> None:
    done = prepare(BRATS, source, tmp_path / "raw")
    handle = os.open(done.folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(SetupError, match="Another process is preparing"):
        prepare(BRATS, source, tmp_path / "raw")
    os.close(handle)
    assert prepare(BRATS, source, tmp_path / "raw").kept


def test_folds_by_patient_are_those_of_nnunets_conversion(tmp_path: Path) -> None:
    from nnunetv2.dataset_conversion.Dataset027_ACDC import create_ACDC_split

    layout = card("ACDC").layout[0]
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4), np.uint8))
    for patient in range(1, 13):
        folder = tmp_path / "in" / "training" / f"patient{patient:03d}"
        folder.mkdir(parents=True)
        for frame in ("01", "12"):
            for end in ("", "_gt"):
                sitk.WriteImage(image, str(folder / f"{folder.name}_frame{frame}{end}.nii.gz"))
    assert layout.where
    done = prepare(card("ACDC"), tmp_path / "in", tmp_path / "raw")
    ours = json.loads((done.folder / "splits.json").read_text())
    theirs = create_ACDC_split(str(done.folder / "labelsTr"))
    assert [{key: sorted(names) for key, names in fold.items()} for fold in ours] == [
        {key: sorted(map(str, names)) for key, names in fold.items()} for fold in theirs
    ]


def test_fixed_split_is_one_fold(tmp_path: Path) -> None:
    known = card("TotalSegmentator-ribs")
    truths = build(known, tmp_path / "in")
    done = prepare(known, tmp_path / "in", tmp_path / "raw")
    folds = json.loads((done.folder / "splits.json").read_text())
    joined = [name for name, truth in sorted(truths.items()) if truth.layout.join]
    assert len(folds) == 1 and folds[0]["val"] == joined and len(folds[0]["train"]) == done.training - len(joined)


def test_killed_at_any_moment_a_further_run_ends_alike(tmp_path: Path) -> None:
    build(BRATS, tmp_path / "in", cases=60)
    whole = prepare(BRATS, tmp_path / "in", tmp_path / "whole")
    arguments = ["datasets", "prepare", "BraTS2021", "--from", str(tmp_path / "in"), "--data-root", str(tmp_path)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("nnUNet", "MEDMAMBA"))}
    folder, chance, killed = tmp_path / "nnUNet_raw" / BRATS.folder_name, random.Random(0), 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-m", "medmamba.cli", *arguments], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL
        ) as child:
            wanted = count(folder) + chance.randint(1, 60)
            while child.poll() is None and count(folder) < wanted:
                time.sleep(0.0005)
            killed += child.poll() is None
            child.kill()
        assert contents(folder).keys() <= contents(whole.folder).keys() | leftovers(folder)
    assert killed >= 2
    done = prepare(BRATS, tmp_path / "in", tmp_path / "nnUNet_raw")
    assert done.kept and done.training == 60 and done.foreign == [] and not leftovers(folder)
    assert contents(done.folder) == contents(whole.folder)
    ours, theirs = (json.loads((path / "prepared.json").read_text())["files"] for path in (done.folder, whole.folder))
    assert [(name, entry["how"]) for name, entry in ours.items()] == [(n, entry["how"]) for n, entry in theirs.items()]


def count(folder: Path) -> int:
    """Files that are there by their final names."""
    parts = (folder / part for part in ("imagesTr", "labelsTr"))
    return sum(name.endswith(".gz") for part in parts if part.is_dir() for name in os.listdir(part))


def leftovers(folder: Path) -> set[str]:
    found = (path for path in folder.rglob(".writing-*/*"))
    return {str(path.relative_to(folder)) for path in found}


def test_a_card_from_a_file(source: Path, tmp_path: Path) -> None:
    from medmamba.resources import folder

    shutil.copy(folder("datasets") / "BraTS2021.toml", tmp_path)
    assert isinstance(card(str(tmp_path / "BraTS2021.toml")), Card)
    assert prepare(card(str(tmp_path / "BraTS2021.toml")), source, tmp_path / "raw").training == 3


def test_a_download_that_moved_is_still_known(source: Path, tmp_path: Path) -> None:
    done = prepare(BRATS, source, tmp_path / "raw", copy=True)
    (tmp_path / "new").mkdir()
    moved = source.rename(tmp_path / "new" / "place")
    again = prepare(BRATS, moved, tmp_path / "raw", copy=True)
    assert (again.kept, again.converted, again.copied) == (done.converted + done.copied, 0, 0)
    assert json.loads((done.folder / "prepared.json").read_text())["source"] == str(moved)
