"""The output folder: staging, what killed processes leave, complete or not, a disk that is full."""

import gzip
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import SetupError
from medmamba.predict.batch import outputs
from medmamba.predict.batch import run as batch
from medmamba.predict.batch.failures import BatchError
from medmamba.predict.batch.outputs import is_complete, remove_abandoned, require_space, staging
from medmamba.predict.batch.report import CaseReport, Report
from medmamba.predict.files.cases import Case, find_cases
from tests.predict.fakes import RECIPE, FakePredictor, write_images


def test_the_label_map_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    rename = os.replace
    monkeypatch.setattr(outputs.os, "replace", lambda old, new: (order.append(Path(new).name), rename(old, new)))
    (tmp_path / "a.nii.gz").write_bytes(b"older")
    with staging(tmp_path) as place, place.case("a.nii.gz") as file:
        for name in ("a.nii.gz", "a.pkl", "a.npz"):
            file.with_name(name).write_bytes(name.encode())
    assert order == ["a.npz", "a.pkl", "a.nii.gz"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: name for name in order}


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"older")
    with staging(tmp_path) as place, suppress(ValueError), place.case("a.nii.gz") as file:
        file.write_bytes(b"half")
        raise ValueError
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]


def hold(folder: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with staging(folder) as place:
        (place.folder / "half").write_bytes(b"half")
        ready.set()
        time.sleep(60)


def test_only_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(30)
    with staging(tmp_path) as place:
        assert len(list(tmp_path.glob(".predicting-*"))) == 2
        process.kill()
        process.join()
        remove_abandoned(tmp_path)
        assert list(tmp_path.iterdir()) == [place.folder]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="Nothing can be written to"), staging(tmp_path / "file" / "out"):
        pass


@pytest.fixture
def case(tmp_path: Path) -> Case:
    write_images(tmp_path / "images", ["a"])
    return find_cases(tmp_path / "images", RECIPE)[0]


def test_complete_label_maps(tmp_path: Path, case: Case) -> None:
    (file,) = batch.run(FakePredictor(), [case], tmp_path / "out").written
    whole = file.read_bytes()
    assert is_complete(file, case, RECIPE, False) and not is_complete(file, case, RECIPE, True)
    for damaged in (whole[:-1], whole[:40], b"", whole[:-8] + b"\0" * 8, gzip.compress(gzip.decompress(whole)[:-1])):
        file.write_bytes(damaged)
        assert not is_complete(file, case, RECIPE, False)
    file.unlink()
    assert not is_complete(file, case, RECIPE, False)
    file.write_bytes(whole)
    case.files[0].write_bytes(b"")
    assert not is_complete(file, case, RECIPE, False)


def test_complete_probabilities(tmp_path: Path, case: Case) -> None:
    (file,) = batch.run(FakePredictor(), [case], tmp_path / "out", save_probabilities=True).written
    assert is_complete(file, case, RECIPE, True)
    archive = file.with_name("a.npz")
    whole = archive.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[:-5], bytes(flipped), b"PK"):
        archive.write_bytes(damaged)
        assert not is_complete(file, case, RECIPE, True)
    np.savez_compressed(archive, probabilities=np.zeros((3, 2, 2, 2), np.float32))
    assert not is_complete(file, case, RECIPE, True)


def test_space_is_asked_for_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs.runtime, "free_disk", lambda folder: 2 * 2**20)
    require_space(tmp_path, (100, 100, 100), RECIPE, False)
    with pytest.raises(SetupError, match=r"has 2\.0 MB left, and this case may take 12\.5 MB"):
        require_space(tmp_path, (100, 100, 100), RECIPE, True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up(tmp_path: Path, small_disk: Path) -> None:
    images = tmp_path / "images"
    write_images(images, ["a", "c"])
    write_images(images, ["b"], (60, 60, 60))
    predictor, filler = FakePredictor(), small_disk / "filler"

    def others_write(case: str, tile: int) -> None:
        if (case, tile) == ("b", 1):
            filler.write_bytes(b"0" * (shutil.disk_usage(small_disk).free - 2**14))

    class MakesRoom(batch.Watcher):
        def done(self, case: CaseReport, report: Report) -> None:
            filler.unlink(missing_ok=True)

    predictor.on_tile = others_write
    with pytest.raises(BatchError) as caught:
        batch.run(predictor, find_cases(images, RECIPE), small_disk / "out", jobs=0, watcher=MakesRoom())
    assert list(caught.value.failures) == ["b"]
    assert "disk" in caught.value.failures["b"] and ".predicting" not in caught.value.failures["b"]
    assert {path.name for path in (small_disk / "out").glob("*.nii.gz")} == {"a.nii.gz", "c.nii.gz"}
    assert not list((small_disk / "out").glob(".*"))
    for name in "ac":
        assert sitk.ReadImage(str(small_disk / f"out/{name}.nii.gz")).GetSize() == (10, 8, 6)


def test_a_folder_whose_name_ends_itk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="is not UTF-8"), staging(tmp_path / "caf\udce9"):
        pass
