"""Ensembles beside nnU-Net's."""

import pickle
from multiprocessing import dummy
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.ensembling.ensemble import ensemble_folders

from medmamba.errors import ConfigError, DataError
from medmamba.files import read_json, write_json
from medmamba.nnunet.batches import BatchError
from medmamba.nnunet.folds.ensemble import average, ensemble
from tests.nnunet.made_models import made_model, noise
from tests.nnunet.small_runs import PLAIN, REGIONS


def folders(workplace: Path, place: Path, number: int = PLAIN) -> list[Path]:
    """Two folders of predictions with probabilities."""
    found = []
    for seed in (1, 2):
        model = made_model(workplace, place / str(seed), "nnUNetPlans", noise(0.3, seed), number)
        found.append(place / f"predicted_{seed}")
        found[-1].mkdir()
        for file in [*model.glob("fold_*/validation/*"), *model.glob("*.json")]:
            file.rename(found[-1] / file.name)
    return found


@pytest.mark.parametrize("number", [PLAIN, REGIONS])
def test_label_maps_are_nnunets(number: int, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = folders(workplace, tmp_path, number)
    seen: list[int] = []
    written = ensemble(members, tmp_path / "ours", save_probabilities=True, on_case=lambda _, n, of: seen.append(n))
    assert seen == [1, 2, 3, 4, 5]
    monkeypatch.setattr("multiprocessing.get_context", lambda _: dummy)
    ensemble_folders([str(one) for one in members], str(tmp_path / "theirs"), True, 1)
    assert [file.name for file in written] == [f"c{case}.nii.gz" for case in range(5)]
    for file in written:
        theirs = tmp_path / "theirs" / file.name
        assert file.read_bytes() == theirs.read_bytes()
        a, b = (path.with_name(file.name.replace("nii.gz", "npz")) for path in (file, theirs))
        assert np.array_equal(np.load(a)["probabilities"], np.load(b)["probabilities"])
        assert pickle.loads(a.with_suffix(".pkl").read_bytes()) == pickle.loads(b.with_suffix(".pkl").read_bytes())


def test_what_cannot_be_averaged(workplace: Path, tmp_path: Path) -> None:
    first, second = folders(workplace, tmp_path)
    with pytest.raises(ConfigError, match="at least two"):
        ensemble([first], tmp_path / "out")
    with pytest.raises(DataError, match=r"no probabilities.*--save-probabilities"):
        ensemble([first, tmp_path], tmp_path / "out")
    (first / "c0.npz").unlink()
    (second / "c1.npz").write_bytes(b"PK no archive")
    np.savez_compressed(second / "c2.npz", probabilities=np.zeros((3, 2, 2, 2), np.float32))
    with pytest.raises(BatchError) as caught:
        ensemble([first, second], tmp_path / "out")
    assert "c0.npz is missing" in caught.value.failures["c0"]
    assert "holds no probabilities" in caught.value.failures["c1"]
    assert "is of size (3, 2, 2, 2)" in caught.value.failures["c2"]
    assert [file.name for file in caught.value.written] == ["c3.nii.gz", "c4.nii.gz"]
    content = read_json(second / "dataset.json")
    write_json(second / "dataset.json", {**content, "labels": {"background": 0, "other": 1, "core": 2}})
    with pytest.raises(DataError, match=r"labels of .* are not those of"):
        ensemble([first, second], tmp_path / "out")


def test_a_pickle_runs_nothing_and_may_be_absent(workplace: Path, tmp_path: Path) -> None:
    first, second = folders(workplace, tmp_path)
    (first / "c0.pkl").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    (first / "c1.pkl").unlink()
    with pytest.raises(BatchError, match=r"c0\.pkl is not read: it holds \w+\.system") as caught:
        ensemble([first, second], tmp_path / "out")
    assert list(caught.value.failures) == ["c0"]
    written, read = (sitk.ReadImage(str(folder / "c1.nii.gz")) for folder in (tmp_path / "out", first))
    assert written.GetDirection() == read.GetDirection() and written.GetSpacing() == read.GetSpacing()


def test_halves_are_averaged_in_single_precision(tmp_path: Path) -> None:
    for name, value in (("a", 0.1), ("b", 0.3)):
        np.savez_compressed(tmp_path / f"{name}.npz", probabilities=np.full((1, 1), value, np.float16))
    mean = average([tmp_path / "a.npz", tmp_path / "b.npz"])
    assert mean.dtype == np.float32 and mean == pytest.approx(0.2, abs=1e-4)
