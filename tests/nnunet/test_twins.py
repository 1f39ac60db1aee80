"""The scan against no scan (medmamba/twins.py); here, where a small dataset is preprocessed once for all tests."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medmamba import twins
from medmamba.errors import ConfigError, SetupError
from tests.nnunet.small_runs import PLAIN, options


def test_a_network_and_its_twin_are_trained_alike_and_compared(workplace: Path, tmp_path: Path) -> None:
    training = replace(options(), network="umamba-bot", preset="small", seed=3)
    wanted = twins.TwinOptions(training, (0, 1), ("conv",), tmp_path / "out")
    told: list[tuple[str, str]] = []
    found = twins.run(PLAIN, wanted, lambda *step: told.append(step))
    assert told[0] == ("scan", "fold 0: train") and told[-1] == ("conv", "fold 1: evaluate") and len(told) == 8
    (comparison,) = found.comparisons.values()
    assert [method.name for method in comparison.methods] == ["conv", "scan"]
    assert comparison.methods[0].cases == comparison.methods[1].cases and comparison.methods[0].repeats == "folds"
    assert json.loads(found.file.read_text()) == json.loads(json.dumps(found.as_json()))
    plans = [_plans(workplace, name) for name in ("umamba-bot-small", "umamba-bot-small-conv")]
    kwargs = [one["architecture"]["arch_kwargs"].get("mixer") for one in plans]
    assert kwargs == [None, "conv"]
    assert plans[0]["patch_size"] == plans[1]["patch_size"] and plans[0]["batch_size"] == plans[1]["batch_size"]
    again = twins.run(PLAIN, wanted, lambda *step: None)  # nothing is trained a second time
    assert again.as_json()["comparisons"] == found.as_json()["comparisons"]


def test_a_place_that_takes_no_files_is_said_before_training(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    wanted = twins.TwinOptions(options(), (0,), ("conv",), tmp_path / "taken")
    with pytest.raises(SetupError, match="taken could not be written"):
        twins.run(PLAIN, wanted, lambda *step: pytest.fail("trains"))


def _plans(workplace: Path, name: str) -> dict[str, Any]:
    trained = f"nnUNetTrainerUMambaBot__nnUNetPlans_{name}__3d_fullres"  # stock trainers of other tests lie beside it
    (file,) = (workplace / "results").glob(f"Dataset{PLAIN}_*/{trained}/plans.json")
    content: dict[str, Any] = json.loads(file.read_text())["configurations"]["3d_fullres"]
    return content


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"folds": ("all",)}, "holds no case out"),
        ({"twins": ()}, "No twin"),
        ({"twins": ("attention",)}, "no twin 'attention'"),
        ({"training": replace(options(), network="mambamorph")}, "registers images"),
    ],
)
def test_misuse(workplace: Path, tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    wanted = replace(twins.TwinOptions(options(), (0,), ("conv",), tmp_path), **changes)
    with pytest.raises(ConfigError, match=text):
        twins.run(PLAIN, wanted, lambda *step: None)
