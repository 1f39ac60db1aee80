import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.data.clips import TIME_SPACING, write_clip_dataset
from medmamba.errors import ConfigError, DataError

T, H, W = 4, 6, 8


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=array.ndim == 3), str(path))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for clip in ("a", "b"):
        for t in range(T):
            save(tmp_path / "in" / clip / "frames" / f"{t:03d}.png", random.integers(0, 255, (H, W, 3), np.uint8))
            save(tmp_path / "in" / clip / "masks" / f"{t:03d}.png", (random.random((H, W)) > 0.5) * np.uint8(255))
    return tmp_path / "in"


def test_time_is_the_first_axis(source: Path, tmp_path: Path) -> None:
    folder = write_clip_dataset(source, tmp_path / "raw", 501, "Clips", frame_rate=25)
    for channel in range(3):
        image = sitk.ReadImage(str(folder / "imagesTr" / f"b_{channel:04d}.nii.gz"))
        assert image.GetSpacing() == (1, 1, TIME_SPACING)
        for t in range(T):
            frame = sitk.GetArrayFromImage(sitk.ReadImage(str(source / "b" / "frames" / f"{t:03d}.png")))
            assert np.array_equal(sitk.GetArrayFromImage(image)[t], frame[..., channel])
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labelsTr" / "a.nii.gz")))
    assert mask.shape == (T, H, W) and set(np.unique(mask)) == {0, 1}


def test_side_files(source: Path, tmp_path: Path) -> None:
    folder = write_clip_dataset(source, tmp_path / "raw", 501, "Clips", frame_rate=25)
    clips = json.loads((folder / "clips.json").read_text())
    assert clips["temporal_axis"] == 0 and clips["frame_rate"] == 25
    assert clips["frames"]["a"] == [f"{t:03d}.png" for t in range(T)]
    content = json.loads((folder / "dataset.json").read_text())
    assert content["channel_names"] == {"0": "rgb_to_0_1", "1": "rgb_to_0_1", "2": "rgb_to_0_1"}
    assert content["numTraining"] == 2


def test_clip_without_masks_is_a_test_case(source: Path, tmp_path: Path) -> None:
    (source / "b" / "masks").rename(tmp_path / "elsewhere")
    folder = write_clip_dataset(source, tmp_path / "raw", 501, "Clips")
    assert len(list((folder / "imagesTs").iterdir())) == 3
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 1


def test_grey_frames_give_three_equal_channels(source: Path, tmp_path: Path) -> None:
    for t in range(T):
        save(source / "a" / "frames" / f"{t:03d}.png", np.full((H, W), 7 * t, np.uint8))
    folder = write_clip_dataset(source, tmp_path / "raw", 501, "Clips")
    channels = [sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "imagesTr" / f"a_000{c}.nii.gz"))) for c in range(3)]
    assert np.array_equal(channels[0], channels[2]) and channels[0][3].max() == 21


def test_faults_name_the_file_and_leave_nothing(source: Path, tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(DataError, match=match):
            write_clip_dataset(source, tmp_path / "raw", 501, "Clips")
        assert list((tmp_path / "raw").glob("*")) == []

    mask, frame = source / "a" / "masks" / "002.png", source / "a" / "frames" / "001.png"
    save(mask, np.arange(H * W, dtype=np.uint8).reshape(H, W))
    refused(r"masks/002\.png has the values")
    mask.unlink()
    refused(r"frames/002\.png has no mask")
    save(mask, np.zeros((H, W), np.uint8))
    save(frame, np.zeros((H, W + 1, 3), np.uint8))
    refused(r"frames/001\.png is")
    frame.write_text("no picture")
    refused(r"frames/001\.png cannot be read")


def test_no_clip_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no clip"):
        write_clip_dataset(tmp_path, tmp_path / "raw", 501, "Clips")


def test_real_clips(shared_data: Path, tmp_path: Path) -> None:
    folder = write_clip_dataset(shared_data / "slice_clips", tmp_path, 501, "SliceClips")
    sizes = {sitk.ReadImage(str(path)).GetSize() for path in folder.rglob("*.nii.gz")}
    assert sizes == {(128, 128, 16)}


def test_a_number_that_is_taken_and_a_name_that_is_none(source: Path, tmp_path: Path) -> None:
    write_clip_dataset(source, tmp_path / "raw", 501, "Clips")
    with pytest.raises(DataError, match="Dataset501_Clips has the number 501 already"):
        write_clip_dataset(source, tmp_path / "raw", 501, "Others")
    for name in ("../x", "two words", ""):
        with pytest.raises(ConfigError, match="is no name for a dataset"):
            write_clip_dataset(source, tmp_path / "raw", 502, name)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["Dataset501_Clips"]
