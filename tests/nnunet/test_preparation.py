import json
import os
import shutil
from pathlib import Path

import pytest

from medmamba import runtime
from medmamba.errors import ConfigError, DataError, SetupError
from medmamba.files import read_json, write_json
from medmamba.nnunet.preparation import DatasetFingerprintExtractor, preprocess

PLAIN = 901


@pytest.fixture
def place(workplace: Path) -> Path:
    return workplace / "preprocessed" / "Dataset901_Blobs"


def test_network_plans_are_written_beside_the_stock_ones(place: Path) -> None:
    file = preprocess(PLAIN, network="umamba-bot", preset="small", configurations=["3d_fullres"])
    assert file == place / "nnUNetPlans_umamba-bot-small.json"
    plans = read_json(file)
    assert plans["plans_name"] == "nnUNetPlans_umamba-bot-small"
    assert plans["configurations"]["3d_fullres"]["data_identifier"] == "nnUNetPlans_3d_fullres"


def test_what_is_up_to_date_is_left_alone(place: Path) -> None:
    file = preprocess(PLAIN, network="umamba-bot", preset="small", configurations=["3d_fullres"])
    watched = [file, place / "nnUNetPlans.json", *sorted((place / "nnUNetPlans_3d_fullres").iterdir())]
    before = [path.stat().st_mtime_ns for path in watched]
    preprocess(PLAIN, network="umamba-bot", preset="small", configurations=["3d_fullres"])
    assert [path.stat().st_mtime_ns for path in watched] == before


@pytest.mark.parametrize("days", [1, -1000])
def test_a_replaced_raw_file_starts_over(workplace: Path, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    class StartedError(Exception):
        pass

    def run(self: DatasetFingerprintExtractor, overwrite_existing: bool) -> None:
        assert overwrite_existing
        raise StartedError

    monkeypatch.setattr(DatasetFingerprintExtractor, "run", run)
    image = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    before = image.stat()
    try:
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns + days * 86_400 * 10**9))
        with pytest.raises(StartedError):
            preprocess(PLAIN, verify=False)
    finally:
        os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_labels_are_copied_for_validation(place: Path) -> None:
    assert len(list((place / "gt_segmentations").glob("*.nii.gz"))) == 5


def test_a_configuration_that_is_not_there(workplace: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration '3d_lowres'"):
        preprocess(PLAIN, configurations=["3d_lowres"])
    with pytest.raises(ConfigError, match="segmamba works on volumes"):
        preprocess(PLAIN, network="segmamba", configurations=["2d"])


def test_a_missing_label_is_named(workplace: Path) -> None:
    copy = workplace / "raw" / "Dataset903_Blobs"
    shutil.copytree(workplace / "raw" / "Dataset901_Blobs", copy)
    try:
        (copy / "labelsTr/c1.nii.gz").unlink()
        with pytest.raises(DataError, match="Case c1 of Dataset903_Blobs lacks"):
            preprocess(903)
    finally:
        shutil.rmtree(copy)


def test_an_unsound_dataset_is_refused(workplace: Path) -> None:
    copy = workplace / "raw" / "Dataset904_Blobs"
    shutil.copytree(workplace / "raw" / "Dataset901_Blobs", copy)
    try:
        text = (copy / "dataset.json").read_text()
        (copy / "dataset.json").write_text(text.replace('"numTraining": 5', '"numTraining": 6'))
        with pytest.raises(DataError, match="Dataset904_Blobs is not a sound nnU-Net dataset"):
            preprocess(904)
    finally:
        shutil.rmtree(copy)
        shutil.rmtree(workplace / "preprocessed" / "Dataset904_Blobs", ignore_errors=True)


def test_plans_are_made_for_a_gpu_that_is_named_and_then_stay(place: Path) -> None:
    arguments = {"network": "lightm-unet", "preset": "small", "configurations": ["3d_fullres"]}
    file = preprocess(PLAIN, **arguments, vram=12)  # type: ignore[arg-type]
    assert read_json(file)["medmamba"]["budget"]["asked_for"] == 12
    before = file.stat().st_mtime_ns
    preprocess(PLAIN, **arguments)  # type: ignore[arg-type]
    assert file.stat().st_mtime_ns == before
    preprocess(PLAIN, **arguments, vram=24)  # type: ignore[arg-type]
    assert read_json(file)["medmamba"]["budget"]["asked_for"] == 24


def test_what_a_user_wrote_into_the_plans_stays(place: Path) -> None:
    file = preprocess(PLAIN, network="lightm-unet", preset="small", configurations=["3d_fullres"])
    content = read_json(file)
    content["configurations"]["3d_fullres"]["batch_size"] = 3
    write_json(file, content)
    preprocess(PLAIN, network="lightm-unet", preset="small", configurations=["3d_fullres"])
    assert read_json(file)["configurations"]["3d_fullres"]["batch_size"] == 3


def test_what_changed_in_the_data_reaches_plans_that_stay(place: Path) -> None:
    arguments = {"network": "lightm-unet", "preset": "small", "configurations": ["3d_fullres"]}
    file, stock = preprocess(PLAIN, **arguments), place / "nnUNetPlans.json"  # type: ignore[arg-type]
    before, right = read_json(file), stock.read_bytes()
    try:
        write_json(stock, read_json(stock) | {"foreground_intensity_properties_per_channel": {"0": {"mean": 7.0}}})
        preprocess(PLAIN, **arguments)  # type: ignore[arg-type]
        after = read_json(file)
        assert after["foreground_intensity_properties_per_channel"] == {"0": {"mean": 7.0}}
        assert (after["configurations"], after["plans_name"]) == (before["configurations"], before["plans_name"])
    finally:
        stock.write_bytes(right)
    preprocess(PLAIN, **arguments)  # type: ignore[arg-type]
    assert read_json(file) == before


def test_a_wrong_name_is_told_before_anything_is_read(workplace: Path) -> None:
    for wrong in ({"network": "nope"}, {"network": "vivim", "preset": "nope"}, {"network": "vivim", "vram": 0}):
        with pytest.raises(ConfigError, match=r"no network 'nope'|no preset 'nope'|--vram 0"):
            preprocess(999, **wrong)  # type: ignore[arg-type]


def test_proposed_folds_are_taken_over_once(workplace: Path, place: Path) -> None:
    proposal = workplace / "raw/Dataset901_Blobs/splits.json"
    splits, before = place / "splits_final.json", None
    if splits.is_file():
        before = splits.read_bytes()
        splits.unlink()
    try:
        write_json(proposal, [{"train": ["c0", "c1", "c2"], "val": ["c3", "c4"]}])
        preprocess(PLAIN, configurations=["3d_fullres"])
        assert json.loads(splits.read_text()) == [{"train": ["c0", "c1", "c2"], "val": ["c3", "c4"]}]
        write_json(proposal, [{"train": ["c0"], "val": ["c1"]}])
        preprocess(PLAIN, configurations=["3d_fullres"])
        assert json.loads(splits.read_text())[0]["val"] == ["c3", "c4"]
        write_json(splits, [{"train": ["c0", "gone"], "val": ["c1"]}])
        with pytest.raises(DataError, match=r"splits_final\.json names 1 case\(s\) .* not have: gone"):
            preprocess(PLAIN, configurations=["3d_fullres"])
    finally:
        proposal.unlink()
        splits.unlink()
        if before is not None:
            splits.write_bytes(before)


def test_a_full_disk_is_seen_before_it_is_full(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "free_disk", lambda folder: 1000)
    with pytest.raises(SetupError, match=r"preprocessed data of 2d need about .* free on the disk"):
        preprocess(PLAIN, configurations=["2d"])
