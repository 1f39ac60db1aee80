"""best, ensemble, postprocess and validate as they are typed."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.made_dataset import made_dataset
from tests.nnunet.made_models import islands, made_model, noise


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A --data-root with the dataset; what is written there by name is found by nnU-Net too."""
    home = made_dataset(tmp_path / "home")
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(home / f"nnUNet_{name}"))
    return home


def made(home: Path, plans_name: str, spoil: Any) -> Path:
    """`made_model` in the results of `home`."""
    place = home / "workplace"
    if not place.exists():
        place.mkdir()
        (place / "preprocessed").symlink_to(home / "nnUNet_preprocessed")
    return made_model(place, home / "nnUNet_results", plans_name, spoil)


def test_from_the_comparison_to_the_processed_labels(home: Path, run: Any) -> None:
    models = {name: made(home, f"nnUNetPlans_{name}", noise(0.3, seed)) for seed, name in enumerate("ab", start=1)}
    shown = run("best", "--dataset", "901")
    assert shown.exit_code == 0, shown.output
    assert all(len(line) <= 80 for line in shown.stdout.split("Best on")[0].splitlines())
    ranking = [line.split() for line in shown.stdout.splitlines() if line.startswith((" 1 ", " 2 ", " 3 "))]
    assert [line[0] for line in ranking] == ["1", "2", "3"] and "+" in ranking[0]
    as_json = json.loads(run("best", "--dataset", "901", "--json").stdout)
    commands = as_json["medmamba"]["commands"]
    assert [shlex.split(line)[1] for line in commands[:3]] == ["predict", "predict", "ensemble"]

    predicted = []
    for name, model in models.items():  # what the two predictions would be for these cases
        predicted.append(home / f"predicted_{name}")
        predicted[-1].mkdir()
        for file in [*model.glob("fold_*/validation/*"), *model.glob("*.json")]:
            (predicted[-1] / file.name).write_bytes(file.read_bytes())
    given = [part for folder in predicted for part in ("--input", folder)]
    result = run("ensemble", *given, "--output", home / "mean")
    assert "5/5 c4" in result.stdout and f"Segmentations: 5 in {home / 'mean'}" in result.stdout
    rules = as_json["medmamba"]["rules"]
    result = run("postprocess", "--input", home / "mean", "--rules", rules, "--output", home / "processed")
    assert result.exit_code == 0 and len(list((home / "processed").glob("*.nii.gz"))) == 5
    winner = Path(rules).parent
    assert (home / "mean/c0.nii.gz").read_bytes() == (winner / "c0.nii.gz").read_bytes()
    assert (home / "processed/c0.nii.gz").read_bytes() == (winner / "postprocessed/c0.nii.gz").read_bytes()


def test_post_processing_that_helps_is_shown(home: Path, run: Any) -> None:
    made(home, "nnUNetPlans", islands(1))
    shown = run("best", "--dataset", "901", "--no-ensemble")
    assert "Post-processing of the best: largest component of shell + core" in shown.stdout
    assert "medmamba postprocess --input PREDICTIONS --rules" in shown.stdout


def test_what_is_missing_ends_in_a_sentence(home: Path, run: Any) -> None:
    model = made(home, "nnUNetPlans", noise(0.1, 1))
    (model / "fold_2/validation").rename(home / "away")
    shown = run("best", "--dataset", "901")
    assert shown.exit_code == 4
    assert "not validated: fold 2" in shown.stderr and "medmamba validate --model" in shown.stderr
    shown = run("validate", "--model", model, "--folds", "0-4")
    assert shown.exit_code == 4 and "checkpoint" in shown.stderr
    assert run("validate", "--folds", "0-4").exit_code == 2
    assert run("best", "--dataset", "901", "--folds", "x").exit_code == 2
    assert run("ensemble", "--input", model, "--output", home / "out").exit_code == 2
    shown = run("postprocess", "--input", model, "--rules", home / "no.json", "--output", home / "out")
    assert shown.exit_code == 4 and "no.json does not exist" in shown.stderr
