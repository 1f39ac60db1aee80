import os
from pathlib import Path

import pytest
import torch

from medmamba.bundle.facts import created, facts_of
from medmamba.errors import ConfigError
from medmamba.nnunet.loaded import load_folder
from medmamba.predict.recipe import LoadedModel
from tests.bundle.made import results_folder


def test_of_a_results_folder(model: LoadedModel, results: Path) -> None:
    facts = facts_of(model, results)
    assert facts.metrics == {fold: {"mean": 0.5, "shell": 0.5, "core": None} for fold in ("0", "1")}
    assert facts.fingerprint is not None and facts.fingerprint["spacings"] == [[1.0, 0.8, 0.7]]
    assert facts.seeds == {}


def test_seeds_of_our_trainers_and_no_scores(tmp_path: Path) -> None:
    folder = results_folder(tmp_path, folds=(0,))
    file = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({**torch.load(file, weights_only=True), "medmamba": {"seed": 7}}, file)
    (folder / "fold_0" / "validation" / "summary.json").unlink()
    (folder / "dataset_fingerprint.json").unlink()
    facts = facts_of(load_folder(folder), folder)
    assert (facts.seeds, facts.metrics, facts.fingerprint) == ({"0": 7}, {}, None)


def test_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for seconds, file in enumerate(files):
        file.write_text("")
        os.utime(file, (0, seconds))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert created(files) == "1970-01-01T00:00:01Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert created(files) == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH"):
        created(files)
