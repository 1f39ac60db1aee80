"""Validation of a registration network: pairs that fail, and what is made of all. A whole run: `test_trainer.py`."""

from pathlib import Path
from typing import Any

import pytest
import torch

from medmamba.errors import DataError
from medmamba.files import read_json, write_json
from medmamba.networks import create
from medmamba.nnunet import plans as network_plans
from medmamba.nnunet.batches import BatchError
from medmamba.nnunet.registration import stamp, validation
from medmamba.nnunet.registration.options import RegistrationRecipe
from medmamba.nnunet.registration.pairing import read_pairing
from medmamba.nnunet.registration.validation import validate
from tests.bundle.made import results_folder

PAIRS = read_pairing({"channel_names": {"0": "MR"}, "labels": {"background": 0, "shell": 1, "core": 2}})


def row(after: list[float | None], **more: Any) -> dict[str, Any]:
    return {"pair": "a <- b", "before": [0.2, None], "after": after, "folding_percent": 1.0, **more}


class Work:
    """Three pairs, of which some fail."""

    def __init__(self, failing: set[int], *rows: dict[str, Any]) -> None:
        self.count, self.pairing, self.failing, self.rows = 3, PAIRS, failing, rows

    def scored(self, number: int) -> dict[str, Any]:
        if number in self.failing:
            raise DataError(f"Pair {number} is bad.")
        return self.rows[number]


ROWS = (row([0.5, 0.9]), row([0.7, None]), row([0.9, 0.3], folding_percent=4.0))


def validated(monkeypatch: pytest.MonkeyPatch, fold: Path, failing: set[int], *rows: dict[str, Any], **how: Any) -> Any:
    monkeypatch.setattr(validation, "_Work", lambda *given: Work(failing, *rows))
    return validate(fold, 0, device="cpu", **how)


def test_means_are_over_pairs_and_then_over_labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    folder, pairs, dice, mean = validated(
        monkeypatch, tmp_path, set(), *ROWS, on_case=lambda *state: told.append(state)
    )
    assert folder == tmp_path / "validation" and pairs == 3
    assert dice == {"shell": pytest.approx(0.7), "core": pytest.approx(0.6)}
    assert mean == pytest.approx((0.7 + 0.7 + 0.6) / 3)  # of each pair's own mean
    assert told == [("000", 1, 3), ("001", 2, 3), ("002", 3, 3)]
    summary = read_json(folder / "summary.json")
    assert summary["mean"] == {"1": {"Dice": pytest.approx(0.7)}, "2": {"Dice": pytest.approx(0.6)}}
    assert summary["registration"]["folding_percent"] == pytest.approx(2)
    assert summary["registration"]["dice_before"] == pytest.approx(0.2) and summary["registration"]["pairs"] == 3
    assert summary["metric_per_case"][1]["metrics"] == {"1": {"Dice": 0.7}, "2": {"Dice": None}}


def test_a_pair_that_fails_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BatchError) as error:
        validated(monkeypatch, tmp_path, {1}, *ROWS)
    assert list(error.value.failures) == ["001"] and "Pair 1 is bad" in error.value.failures["001"]
    summary = read_json(tmp_path / "validation" / "summary.json")
    assert summary["registration"]["pairs"] == 2 and summary["mean"]["1"]["Dice"] == pytest.approx(0.7)


def test_where_all_fail_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BatchError):
        validated(monkeypatch, tmp_path, {0, 1, 2}, *ROWS)
    assert not (tmp_path / "validation").exists()


def test_labels_that_nobody_has_have_no_dice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, _, dice, mean = validated(monkeypatch, tmp_path, set(), *[row([0.5, None])] * 3)
    assert dice == {"shell": 0.5, "core": None} and mean == 0.5
    _, _, dice, mean = validated(monkeypatch, tmp_path, set(), *[row([None, None])] * 3)
    assert dice == {"shell": None, "core": None} and mean is None


@pytest.fixture(scope="module")
def trained(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a network that was never trained, for preprocessed cases that there are."""
    place = workplace / "preprocessed" / "Dataset901_Blobs"
    plans = network_plans.adapt(read_json(place / "nnUNetPlans.json"), "mambamorph", "small", "3d_fullres")
    pairing = read_pairing(read_json(place / "dataset.json"))
    configuration = network_plans.resolve(plans, "3d_fullres")
    plans[network_plans.STAMP][stamp.KEY] = stamp.of(
        pairing, RegistrationRecipe(), False, configuration, (16, 32, 16), (1.0, 1.0, 1.0)
    )
    torch.manual_seed(0)
    state = create("mambamorph", input_channels=1, **configuration["architecture"]["arch_kwargs"]).state_dict()
    return results_folder(
        tmp_path_factory.mktemp("results") / "Dataset901_Blobs",
        folds=[0],
        plans=plans,
        dataset=read_json(place / "dataset.json"),
        trainer="nnUNetTrainerMambaMorph",
        states=[state],
    )


def test_a_network_that_moves_nothing_changes_nothing(trained: Path) -> None:
    """Fresh weights are close to the identity: Dice and similarity stay what the affine left."""
    folder, pairs, dice, mean = validate(trained / "fold_0", 0, device="cpu")
    assert pairs == 1 and set(dice) == {"shell", "core"}
    figures = read_json(folder / "summary.json")["registration"]
    assert figures["mean_displacement"] < 0.01 and figures["folding_percent"] == 0
    assert mean == pytest.approx(figures["dice_before"], abs=0.01) and mean > 0.5
    assert figures["similarity"] == pytest.approx(figures["similarity_before"], abs=0.01)
    first = read_json(folder / "summary.json")
    validate(trained / "fold_0", 0, device="cpu")
    assert read_json(folder / "summary.json") == first


def test_plans_that_no_training_has_noted_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="checkpoint"):
        validate(trained / "fold_3", 3, device="cpu")
    plans = read_json(trained / "plans.json")
    before = dict(plans[network_plans.STAMP])
    plans[network_plans.STAMP].pop(stamp.KEY)
    write_json(trained / "plans.json", plans)
    try:
        with pytest.raises(DataError, match="lack what training notes"):
            validate(trained / "fold_0", 0, device="cpu")
    finally:
        write_json(trained / "plans.json", {**plans, network_plans.STAMP: before})
