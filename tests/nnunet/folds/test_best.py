"""The best of made models whose quality is known."""

import os
import shutil
from multiprocessing import dummy
from pathlib import Path

import numpy as np
import pytest
from nnunetv2.evaluation import find_best_configuration

from medmamba.errors import ConfigError, DataError
from medmamba.files import read_json
from medmamba.nnunet import host
from medmamba.nnunet.folds import instructions, scoring
from medmamba.nnunet.folds.best import find_best
from medmamba.nnunet.folds.ensemble import ensemble
from medmamba.nnunet.folds.postprocess import Rule, postprocess, read_rules
from medmamba.nnunet.folds.results import TrainedModel
from medmamba.nnunet.folds.validation import validate
from medmamba.nnunet.training import train
from medmamba.predict.predictor import Predictor
from tests.nnunet.made_models import islands, made_model, noise
from tests.nnunet.small_runs import PLAIN, options

OURS = "nnUNetPlans_umamba-bot-small"
STAMP = {"network": "umamba-bot", "preset": "small"}


@pytest.fixture
def results(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    return tmp_path / "results"


def both(workplace: Path, results: Path, share: float = 0.3, other: float = 0.3) -> tuple[Path, Path]:
    """Ours and nnU-Net's, each with errors of its own."""
    ours = made_model(workplace, results, OURS, noise(share, 1), trainer="nnUNetTrainerUMambaBot", stamp=STAMP)
    return ours, made_model(workplace, results, "nnUNetPlans", noise(other, 2))


def test_the_best_single_model(workplace: Path, results: Path) -> None:
    ours, stock = both(workplace, results, 0.1, 0.5)
    found = find_best(PLAIN, ensembles=False)
    assert [one.name for one in found.candidates] == [ours.name, stock.name]
    assert found.winner.label == "umamba-bot small 3d_fullres"
    assert found.candidates[1].label == "nnUNetTrainer nnUNetPlans 3d_fullres"
    summary = read_json(ours / "crossval_results_folds_0_1_2_3_4/summary.json")
    assert found.winner.dice == summary["foreground_mean"]["Dice"]
    assert found.left_out == []


def test_an_ensemble_may_be_best(workplace: Path, results: Path) -> None:
    """Each is less sure where it is wrong, and they are wrong in different places."""
    both(workplace, results)
    said: list[str] = []
    found = find_best(PLAIN, say=said.append)
    names = [one.name for one in found.candidates]
    pair = f"ensemble___nnUNetTrainerUMambaBot__{OURS}__3d_fullres___nnUNetTrainer__nnUNetPlans__3d_fullres___0_1_2_3_4"
    assert (
        names[0] == pair and len(names) == 3 and (results / "Dataset901_Blobs/ensembles" / pair / "c0.nii.gz").is_file()
    )
    assert found.winner.dice > found.candidates[1].dice + 0.05
    assert len(said) == 4


def test_the_ensembles_score_is_that_of_its_label_maps(workplace: Path, results: Path) -> None:
    both(workplace, results, 0.3, 0.3)
    found = find_best(PLAIN)
    pair = next(one for one in found.candidates if len(one.models) == 2)
    files = scoring.LabelFiles.of(pair.folder)
    scores = [
        scoring.score(pair.folder / f"{case}.nii.gz", files.references() / f"{case}.nii.gz", files)["metrics"]
        for case in files.cases(pair.folder)
    ]
    assert pair.dice == pytest.approx(np.mean([[one[label]["Dice"] for label in (1, 2)] for one in scores]))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # nnU-Net's inference_instructions.txt
def test_nnunet_finds_the_same(workplace: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [f"nnUNetPlans_{name}" for name in "abc"]
    for seed, name in enumerate(plans):
        made_model(workplace, results, name, noise(0.2 + 0.1 * seed, seed))
    monkeypatch.setattr("multiprocessing.get_context", lambda _: dummy)
    monkeypatch.setattr(find_best_configuration, "filter_available_models", lambda models, _: models)
    models = [{"plans": name, "configuration": "3d_fullres", "trainer": "nnUNetTrainer"} for name in plans]
    with host.muted():
        theirs = find_best_configuration.find_best_configuration(PLAIN, models, num_processes=1)
    expected = theirs["best_model_or_ensemble"]
    rules = read_rules(Path(expected["postprocessing_file"]))
    shutil.rmtree(results / "Dataset901_Blobs/ensembles")

    found = find_best(PLAIN)
    assert {one.name: one.dice for one in found.candidates} == theirs["all_results"]
    assert len(found.candidates) == 6 and len(found.winner.models) == 2
    assert found.choice.rules == rules
    instructions.write(found, "Dataset901_Blobs")
    ours = read_json(results / "Dataset901_Blobs" / instructions.INFORMATION)
    assert set(theirs) <= set(ours)
    assert ours["best_model_or_ensemble"] == expected
    with host.muted():  # nnU-Net can print its instructions from our file
        find_best_configuration.print_inference_instructions(ours)


def test_of_equals_the_single_model_comes_first(workplace: Path, results: Path) -> None:
    made_model(workplace, results, "nnUNetPlans", noise(0.2, 1))
    made_model(workplace, results, "nnUNetPlans_again", noise(0.2, 1))
    found = find_best(PLAIN)
    assert len({one.dice for one in found.candidates}) == 1
    assert [len(one.models) for one in found.candidates] == [1, 1, 2]


def test_what_cannot_be_compared_is_said(workplace: Path, results: Path) -> None:
    ours, stock = both(workplace, results)
    (ours / "fold_4/validation").rename(results / "away")
    next((stock / "fold_1/validation").glob("*.npz")).unlink()
    third = made_model(workplace, results, "nnUNetPlans_third", noise(0.4, 3))
    found = find_best(PLAIN)
    assert {one.name for one in found.candidates} == {stock.name, third.name}
    first, second = found.left_out
    assert "umamba-bot small 3d_fullres: not validated: fold 4" in first.problem
    given = "--dataset Dataset901_Blobs --net umamba-bot --preset small --config 3d_fullres"
    assert first.remedy == f"Run: medmamba validate {given} --folds 4"
    assert "1 of 5 cases have no saved probabilities" in second.problem
    assert second.remedy.endswith(f"--model {stock} --folds 0-4 --save-probabilities")
    for fold in range(5):
        for file in (third / f"fold_{fold}/validation").glob("*.nii.gz"):
            file.unlink()
    (stock / "fold_0/validation").rename(results / "away_too")
    with pytest.raises(DataError, match=r"fold 4.*fold 0"):
        find_best(PLAIN)


def test_filters(workplace: Path, results: Path) -> None:
    ours, stock = both(workplace, results)
    for filters, expected in (
        ({"networks": ["umamba-bot"]}, {ours.name}),
        ({"networks": ["nnUNetTrainer"]}, {stock.name}),
        ({"preset": "small"}, {ours.name}),
        ({"configuration": "3d_fullres"}, {ours.name, stock.name}),
    ):
        found = find_best(PLAIN, ensembles=False, **filters)  # type: ignore[arg-type]
        assert {one.name for one in found.candidates} == expected
    with pytest.raises(ConfigError, match="goes with these options"):
        find_best(PLAIN, networks=["vivim"])
    with pytest.raises(DataError, match="holds no trained model"):
        find_best(902)


def test_ensembles_follow_their_members(workplace: Path, results: Path) -> None:
    ours, _ = both(workplace, results, 0.3, 0.3)
    before = next(one for one in find_best(PLAIN).candidates if len(one.models) == 2)
    file = before.folder / "c0.nii.gz"
    old = file.stat().st_mtime_ns
    assert next(one for one in find_best(PLAIN).candidates if len(one.models) == 2) == before
    assert file.stat().st_mtime_ns == old
    better = made_model(workplace, results / "better", "nnUNetPlans", lambda _, labels: labels)
    for fold in range(5):
        for path in (better / f"fold_{fold}/validation").iterdir():
            os.utime(path)
            path.replace(ours / f"fold_{fold}/validation" / path.name)
    assert next(one for one in find_best(PLAIN).candidates if len(one.models) == 2).dice > before.dice
    assert find_best(PLAIN).winner.dice == 1


def test_instructions(workplace: Path, results: Path) -> None:
    made_model(workplace, results, OURS, islands(1), trainer="nnUNetTrainerUMambaBot", probabilities=False, stamp=STAMP)
    found = find_best(PLAIN)
    assert found.choice.rules == [Rule((1, 2))]
    text = instructions.write(found, "Dataset901_Blobs", " --data-root here").read_text()
    predict = "medmamba predict --model Dataset901_Blobs:umamba-bot:small:3d_fullres --folds 0-4"
    assert f"{predict} --input IMAGES --output PREDICTIONS --data-root here\n" in text
    assert f"medmamba postprocess --input PREDICTIONS --rules {found.choice.file} --output PREDICTIONS_PP\n" in text
    assert (
        "nnUNetv2_predict -d Dataset901_Blobs -i IMAGES -o PREDICTIONS -f 0 1 2 3 4 -tr nnUNetTrainerUMambaBot" in text
    )
    assert "nnUNetv2_apply_postprocessing" in text and "postprocessing.pkl" in text
    information = read_json(results / "Dataset901_Blobs" / instructions.INFORMATION)
    assert information["all_results"] == {found.winner.name: found.winner.dice}
    best = information["best_model_or_ensemble"]
    assert best["result_on_crossval_post_pp"] == 1 and Path(best["postprocessing_file"]).is_file()
    assert best["selected_model_or_models"] == [
        {"trainer": "nnUNetTrainerUMambaBot", "plans_identifier": OURS, "configuration": "3d_fullres"}
    ]


def test_instructions_for_an_ensemble(workplace: Path, results: Path) -> None:
    first, second = (made_model(workplace, results, f"nnUNetPlans_{name}", islands(0)) for name in "ab")
    found = find_best(PLAIN)
    pair = next(one for one in found.candidates if len(one.models) == 2)
    found.candidates.insert(0, pair)
    lines = instructions.commands(found, "Dataset901_Blobs")
    assert lines == [
        f"medmamba predict --model {first} --folds 0-4 --input IMAGES --output PREDICTIONS_1 --save-probabilities",
        f"medmamba predict --model {second} --folds 0-4 --input IMAGES --output PREDICTIONS_2 --save-probabilities",
        "medmamba ensemble --input PREDICTIONS_1 --input PREDICTIONS_2 --output PREDICTIONS",
    ]
    assert "nnUNetv2_ensemble -i PREDICTIONS_1 PREDICTIONS_2 -o PREDICTIONS" in instructions.text(
        found, "Dataset901_Blobs"
    )


def test_models_under_another_plans_name_are_named_by_their_folder(workplace: Path, results: Path) -> None:
    folder = made_model(
        workplace, results, "myPlans", islands(1), trainer="nnUNetTrainerUMambaBot", probabilities=False, stamp=STAMP
    )
    model = TrainedModel(folder)
    assert model.network is None and model.arguments("Dataset901_Blobs") == f"--model {folder}"


@pytest.mark.slow
def test_from_training_to_an_ensembles_labels(workplace: Path, results: Path, tmp_path: Path) -> None:
    for network in ("umamba-bot", "lightm-unet"):
        for fold in range(5):
            folder = train(PLAIN, options(network=network, fold=fold, epochs=1, iterations=1))
            validate(folder, device="cpu", precision="fp32", save_probabilities=True)
    found = find_best(PLAIN)
    assert [len(one.models) for one in found.candidates].count(2) == 1 and len(found.candidates) == 3
    images, outputs = workplace / "raw/Dataset901_Blobs/imagesTr", []
    for place, model in enumerate(candidate.models[0] for candidate in found.candidates if len(candidate.models) == 1):
        outputs.append(tmp_path / str(place))
        Predictor(model.folder, folds=found.folds, device="cpu").segment(images, outputs[-1], save_probabilities=True)
    written = ensemble(outputs, tmp_path / "mean")
    assert len(postprocess(tmp_path / "mean", found.choice.file, tmp_path / "processed")) == len(written) == 5
