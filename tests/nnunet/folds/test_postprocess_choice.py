"""The choice of post-processing beside nnU-Net's determine_postprocessing."""

import json
import shutil
from multiprocessing import dummy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nnunetv2.postprocessing.remove_connected_components import determine_postprocessing
from numpy.typing import NDArray

from medmamba.files import read_json
from medmamba.nnunet.folds.crossval import summary
from medmamba.nnunet.folds.postprocess import Rule, read_rules
from medmamba.nnunet.folds.postprocess_choice import choose
from medmamba.nnunet.folds.scoring import LabelFiles
from tests.nnunet.made_models import Spoil, islands, made_model, noise
from tests.nnunet.small_runs import PLAIN, REGIONS


def both(case: str, label_map: NDArray[Any]) -> NDArray[Any]:
    """An island of each label, the one of label 2 inside the other structure."""
    changed = islands(1)(case, label_map)
    changed[4:5, 4:6, 5:6] = 2
    return changed


def mixed(case: str, label_map: NDArray[Any]) -> NDArray[Any]:
    """Helps in some cases and harms in others: the reference's own part is the smaller one."""
    changed = islands(1)(case, label_map)
    if case in ("c1", "c2"):
        changed[8:10] = 0
        changed[-6:, -6:, -6:] = 2
    return changed


SPOILS: dict[str, Spoil] = {
    "islands of 1": islands(1),
    "islands of 2": islands(2),
    "both": both,
    "mixed": mixed,
    "noise": noise(0.1, 3),
    "perfect": lambda _, label_map: label_map,
    "nothing": lambda _, label_map: np.zeros_like(label_map),
}


@pytest.mark.parametrize("number", [PLAIN, REGIONS])
@pytest.mark.parametrize("spoil", list(SPOILS))
def test_the_choice_is_nnunets(
    spoil: str, number: int, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made_model(workplace, tmp_path, "nnUNetPlans", SPOILS[spoil], number, probabilities=False)
    folder = summary(model, range(5)).folder
    files = LabelFiles.of(folder)
    theirs = Path(shutil.copytree(folder, tmp_path / "theirs"))
    monkeypatch.setattr("multiprocessing.get_context", lambda _: dummy)
    determine_postprocessing(str(theirs), str(files.references()), files.plans.plans, files.dataset, 1, True)

    found = choose(folder, files.references(), files, [f"c{case}" for case in range(5)])
    assert found.rules == read_rules(theirs / "postprocessing.json") == read_rules(theirs / "postprocessing.pkl")
    assert {file.name for file in folder.iterdir()} == {file.name for file in theirs.iterdir()}
    ours, expected = (read_json(place / "postprocessing.json") for place in (folder, theirs))
    for part in ("input_folder", "postprocessed"):
        assert json.dumps(ours[part], sort_keys=True) == json.dumps(expected[part], sort_keys=True)
    for file in (theirs / "postprocessed").glob("*.nii.gz"):
        assert file.read_bytes() == (folder / "postprocessed" / file.name).read_bytes()


def test_every_kind_of_choice_was_seen(workplace: Path, tmp_path: Path) -> None:
    found = {}
    for name in ("islands of 1", "both", "perfect"):
        model = made_model(workplace, tmp_path / name, "nnUNetPlans", SPOILS[name], probabilities=False)
        folder = summary(model, range(5)).folder
        files = LabelFiles.of(folder)
        found[name] = choose(folder, files.references(), files, [f"c{case}" for case in range(5)])
    assert found["islands of 1"].rules == [Rule((1, 2))]
    assert found["both"].rules == [Rule((1, 2)), Rule((2,))]
    assert found["perfect"].rules == []
    better = found["both"]
    assert better.mean_before is not None and better.mean_after is not None
    assert better.mean_after > better.mean_before
