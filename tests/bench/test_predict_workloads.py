from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medmamba.bench import predict_workloads
from medmamba.bench.predict_models import CONFIGURATION
from medmamba.bench.predict_report import PredictOptions
from medmamba.errors import ConfigError, DataError
from medmamba.files import read_json, write_json


def test_workloads_change_as_asked() -> None:
    many = predict_workloads.WORKLOADS["many"]
    changed = predict_workloads.changed(
        many, PredictOptions(size=(8, 9, 10), classes=70, features=2, network="segmamba")
    )
    assert changed.size == (8, 9, 10) and changed.model.classes == 70 and changed.model.network == "segmamba"
    assert predict_workloads.changed(many, PredictOptions()) == many
    quick = predict_workloads.changed(many, PredictOptions(quick=True))
    assert quick.model.classes == 61 and np.prod(quick.size) < 1e5
    assert "256x256x160 at 1x1x2 mm, network 171x171x214 at 1.5 mm, 61 classes" in predict_workloads.describe(many)


@pytest.mark.parametrize(("name", "files"), [("small", 2), ("few", 1), ("brain", 4)])
def test_workloads_are_written_with_a_model_that_takes_them(name: str, files: int, tmp_path: Path) -> None:
    options = PredictOptions(workloads=(name,), quick=True, mirror=True)
    (ready,) = predict_workloads.prepare(options, tmp_path)
    assert len(list(ready.images.iterdir())) == files and ready.mirror
    plans, dataset = read_json(ready.model / "plans.json"), read_json(ready.model / "dataset.json")
    channels = len(dataset["channel_names"])
    assert len(plans["configurations"][CONFIGURATION]["normalization_schemes"]) == channels
    assert files % channels == 0 and (ready.model / "fold_0/checkpoint_final.pth").is_file()


def test_a_model_and_images_of_the_users_own(tmp_path: Path) -> None:
    model, images = tmp_path / "model", tmp_path / "images"
    write_json(model / "plans.json", {})
    write_json(model / "dataset.json", {"file_ending": ".nii"})
    images.mkdir()
    options = PredictOptions(model=model, images=images)
    with pytest.raises(DataError, match=r"no CASE_0000\.nii"):
        predict_workloads.prepare(options, tmp_path)
    (images / "a_0000.nii").touch()
    (ready,) = predict_workloads.prepare(options, tmp_path)
    assert ready.mirror and ready.ending == ".nii" and (ready.model, ready.images) == (model, images)
    assert not predict_workloads.prepare(replace(options, mirror=False), tmp_path)[0].mirror


def test_wrong_options_are_sentences(tmp_path: Path) -> None:
    for options, message in (
        (PredictOptions(workloads=("nothing",)), "There is no workload 'nothing'"),
        (PredictOptions(model=tmp_path), "go together"),
    ):
        with pytest.raises(ConfigError, match=message):
            predict_workloads.prepare(options, tmp_path)
    with pytest.raises(DataError, match="no model folder"):
        predict_workloads.prepare(PredictOptions(model=tmp_path, images=tmp_path), tmp_path)
