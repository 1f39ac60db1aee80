"""Prediction with the model of one small run, by our front and by the stock one."""

import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from medmamba.errors import DataError
from medmamba.networks.umamba import UMambaBot
from medmamba.nnunet import door, prediction
from medmamba.nnunet.folds import pickles
from medmamba.nnunet.loop.trainer import EpochReport
from tests.nnunet.small_runs import PLAIN


def test_prediction_has_the_images_geometry(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    model = prediction.model_folder(PLAIN, "umamba-bot", "small")
    assert model == run[0].parent
    images = workplace / "raw/Dataset901_Blobs/imagesTr"
    seen: list[tuple[str, int, int]] = []
    files = prediction.predict(
        model, images, tmp_path, folds=[0], mirror=False, device="cpu", on_case=lambda *case: seen.append(case)
    )
    assert [file.name for file in files] == [f"c{case}.nii.gz" for case in range(5)]
    assert seen[-1] == ("c4", 5, 5)
    written, image = sitk.ReadImage(str(files[0])), sitk.ReadImage(str(images / "c0_0000.nii.gz"))
    assert written.GetSize() == image.GetSize()
    assert set(np.unique(sitk.GetArrayFromImage(written))) <= {0, 1, 2}


def test_a_bad_case_does_not_stop_the_others(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    good = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    bad = tmp_path / "a_0000.nii.gz"
    bad.write_bytes(b"no image")
    with pytest.raises(prediction.BatchError, match="1 of 2 cases failed: a: ") as caught:
        prediction.predict(run[0].parent, [bad, good], tmp_path / "out", folds=[0], mirror=False, device="cpu")
    assert caught.value.written == [tmp_path / "out/c0.nii.gz"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["c0.nii.gz"]


def test_images_that_readers_let_pass(run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path) -> None:
    good = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    short, hole = tmp_path / "short_0000.nii.gz", tmp_path / "hole_0000.nii.gz"
    short.write_bytes(good.read_bytes()[:-5000])
    values = np.full((16, 20, 20), np.nan, np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), hole)  # ITK would write zeros
    with pytest.raises(prediction.BatchError) as caught:
        prediction.predict(run[0].parent, [short, hole], tmp_path / "out", folds=[0], mirror=False, device="cpu")
    assert "truncated" in caught.value.failures["short"] and "NaN" in caught.value.failures["hole"]
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_what_is_there_can_be_kept(run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path) -> None:
    image = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    (tmp_path / "c0.nii.gz").write_bytes(b"kept")
    said: list[str] = []
    prediction.predict(run[0].parent, image, tmp_path, folds=[0], device="cpu", overwrite=False, say=said.append)
    assert said[0].startswith(("fp32", "bf16"))
    assert (tmp_path / "c0.nii.gz").read_bytes() == b"kept"


def test_the_stock_predictor_loads_our_checkpoint(
    run: tuple[Path, list[EpochReport]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_extTrainer", str(door.folder()))
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nnU-Net imports all of its own trainers on the way
        try:
            predictor.initialize_from_trained_model_folder(str(run[0].parent), (0,))
        except RuntimeError as error:
            if "torchvision" not in str(error):
                raise
            pytest.skip("torchvision does not import here, so nnU-Net's own search of trainers cannot")
    assert type(predictor.network) is UMambaBot
    assert predictor.allowed_mirroring_axes == (0, 1, 2)


def test_models_and_checkpoints_that_are_not_there(run: tuple[Path, list[EpochReport]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no model folder"):
        prediction.predict(tmp_path / "none", tmp_path, tmp_path)
    with pytest.raises(DataError, match=r"has no other\.pth in any fold"):
        prediction.predict(run[0].parent, tmp_path, tmp_path, checkpoint="other.pth")
    with pytest.raises(DataError, match="No image to predict"):
        prediction.predict(run[0].parent, tmp_path, tmp_path / "out", folds=[0], device="cpu")


def test_channels_of_a_case_are_put_together(tmp_path: Path) -> None:
    for name in ("a_0001.nii.gz", "a_0000.nii.gz", "b.nii.gz", "note.txt"):
        (tmp_path / name).touch()
    cases = prediction.group(tmp_path, ".nii.gz", 2)
    assert {case: [file.name for file in files] for case, files in cases.items()} == {
        "a": ["a_0000.nii.gz", "a_0001.nii.gz"],
        "b": ["b.nii.gz"],
    }


def test_probabilities_go_with_the_label_map(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    image = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    how: dict[str, Any] = {"folds": [0], "mirror": False, "device": "cpu", "save_probabilities": True}
    (file,) = prediction.predict(run[0].parent, image, tmp_path, **how)
    with np.load(tmp_path / "c0.npz") as content:
        probabilities = content["probabilities"]
    assert probabilities.dtype == np.float32 and probabilities.shape == (3, 16, 20, 20)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    assert np.array_equal(probabilities.argmax(0), sitk.GetArrayFromImage(sitk.ReadImage(str(file))))
    assert pickles.read(tmp_path / "c0.pkl")["shape_before_cropping"] == (16, 20, 20)
    before = file.stat().st_mtime_ns
    prediction.predict(run[0].parent, image, tmp_path, **how, overwrite=False)
    assert file.stat().st_mtime_ns == before
    (tmp_path / "c0.npz").unlink()
    prediction.predict(run[0].parent, image, tmp_path, **how, overwrite=False)
    assert (tmp_path / "c0.npz").is_file()
