"""Results folders read into memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from medmamba.errors import ConfigError, DataError
from medmamba.files import read_json, write_json
from medmamba.nnunet.loaded import load_folder
from medmamba.nnunet.plans import adapt
from tests.nnunet import plans_by_hand as made
from tests.nnunet.results_by_hand import write_results

FINAL = "checkpoint_final.pth"


def test_folds_and_their_weights(tmp_path: Path) -> None:
    place = write_results(tmp_path, folds=(0, 2, "all"))
    model = load_folder(place)
    assert model.folds == ("0", "2") and model.trainer == "nnUNetTrainer" and model.precision is None
    assert not model.network.training and model.recipe.mirror_axes == (0, 1, 2)
    saved = torch.load(place / "fold_2" / FINAL, weights_only=True)["network_weights"]
    assert all(torch.equal(model.weights[1][name], tensor) for name, tensor in saved.items())
    assert not torch.equal(*(next(iter(weights.values())) for weights in model.weights))
    assert load_folder(place, ["all"]).folds == ("all",)
    assert load_folder(place, [2, 0]).folds == ("2", "0")
    assert model.plans == read_json(place / "plans.json") and model.dataset == read_json(place / "dataset.json")


def test_only_the_fold_of_all_cases(tmp_path: Path) -> None:
    assert load_folder(write_results(tmp_path, folds=("all",))).folds == ("all",)


def test_the_digest_is_that_of_the_files(tmp_path: Path) -> None:
    place = write_results(tmp_path, folds=(0, 1))
    names = f"dataset.json plans.json fold_0/{FINAL} fold_1/{FINAL}"
    sums = subprocess.run(f"sha256sum {names} | sha256sum", shell=True, cwd=place, capture_output=True, text=True)
    before = load_folder(place).digest
    assert before == f"sha256:{sums.stdout.split()[0]}"
    assert load_folder(place, [1]).digest != before


def test_our_networks_bring_their_precision(tmp_path: Path) -> None:
    plans = made.plans()
    plans["configurations"]["3d_fullres"]["patch_size"] = [16, 16, 16]
    adapted = adapt(plans, "umamba-bot", "small", "3d_fullres")
    model = load_folder(write_results(tmp_path, plans=adapted, trainer="nnUNetTrainerUMambaBot"))
    assert model.precision == "auto" and type(model.network).__name__ == "UMambaBot"


def test_a_cascade_brings_its_first_stage(tmp_path: Path) -> None:
    second = write_results(tmp_path, "3d_cascade_fullres", folds=(0, 1))
    with pytest.raises(ConfigError, match="Train 3d_lowres first"):
        load_folder(second)
    write_results(tmp_path, "3d_lowres", folds=(0, 1))
    model = load_folder(second, [1])
    assert model.previous is not None and model.previous.recipe.configuration == "3d_lowres"
    assert model.previous.folds == ("1",) and model.previous.previous is None


def test_the_way_back_to_the_datasets_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write_results(tmp_path / "results")
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    assert load_folder(place).label_map is None
    write_json(tmp_path / "raw/Dataset900_Made/label_map.json", {"card": "Made"})
    assert load_folder(place).label_map == {"card": "Made"}


def test_folds_that_are_not_there(tmp_path: Path) -> None:
    place = write_results(tmp_path, folds=(0, 3))
    with pytest.raises(DataError, match=r"in fold_1, fold_4\. fold_0, fold_3 have one"):
        load_folder(place, [0, 1, 4])
    with pytest.raises(DataError, match=rf"no checkpoint_best\.pth in any fold\. Checkpoints there: fold_0/{FINAL}"):
        load_folder(place, checkpoint="checkpoint_best.pth")
    with pytest.raises(DataError, match="no model folder"):
        load_folder(tmp_path / "none")
    with pytest.raises(DataError, match="No fold was chosen"):
        load_folder(place, [])


class _Runs:
    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network_weights": {}}, "do not fit the network PlainConvUNet"),
        ({"init_args": None}, "does not say which trainer"),
        ({"trainer_name": None}, "does not say which trainer"),
        ({"init_args": {"configuration": "other"}}, "no configuration 'other'"),
        ({"optimizer_state": _Runs()}, "cannot be read as a checkpoint"),
        ({"inference_allowed_mirroring_axes": (0, 3)}, "mirrors along axes"),
    ],
)
def test_checkpoints_that_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_results(tmp_path) / "fold_0" / FINAL
    torch.save({**torch.load(file, weights_only=True), **change}, file)
    with pytest.raises((DataError, ConfigError), match=message):
        load_folder(file.parent.parent)
    assert capsys.readouterr().out == ""


def test_weights_of_another_shape(tmp_path: Path) -> None:
    place = write_results(tmp_path)
    write_json(place / "dataset.json", made.dataset(labels={"background": 0, "a": 1}))
    with pytest.raises(DataError, match=r"decoder\.seg_layers"):
        load_folder(place)


def test_no_slow_import(tmp_path: Path) -> None:
    place = write_results(tmp_path)
    program = (
        f"import sys; from medmamba.predict.loading import load; load({str(place)!r});"
        "slow = ['nnunetv2.training', 'nnunetv2.utilities.plans_handling', 'skimage', 'pandas', 'matplotlib', 'timm'];"
        "sys.exit(', '.join(name for name in slow if name in sys.modules) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
