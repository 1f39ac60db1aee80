import json
from pathlib import Path

import pytest

from medmamba.errors import MedMambaError
from medmamba.report.model import read_model
from tests.bundle.made import results_folder


def test_a_results_folder_with_its_history(tmp_path: Path) -> None:
    folder = results_folder(tmp_path, folds=(0,))
    fold = folder / "fold_0"
    lines = [
        {"epoch": number, "epochs": 3, "train_loss": 1 / number, "val_loss": None, "mean_dice": 0.3 * number,
         "dice": {"one": 0.2 * number, "two": 0.4 * number}, "seconds": 40}
        for number in (1, 2, 3)
    ]  # fmt: skip
    lines[0]["run"] = {"machine": "ZZHOSTZZ", "medmamba": "0.1", "torch": "2.9", "seed": 4, "device": "cpu"}
    (fold / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_model(folder)
    facts, plan = dict(found.facts), dict(found.plan)
    assert facts["Digest"].startswith("sha256:") and int(facts["Parameters"].replace(",", "")) > 100
    assert plan["Patch size, slowest axis first"] and plan["Configuration"] == "3d_fullres"
    assert dict(found.software) == {"medmamba": "0.1", "torch": "2.9"}
    (one,) = found.folds
    assert [chart.title for chart in one.curves] == ["Loss", "Dice of validation patches"]
    assert one.text == "3 of 3 epochs, 2 min, device cpu, seed 4"
    assert [line.name for line in one.curves[1].lines] == ["mean", "one", "two"]
    assert "ZZHOSTZZ" not in str(found) and str(tmp_path) not in str(found)


def test_a_bundle(tmp_path: Path) -> None:
    from medmamba.bundle.facts import facts_of
    from medmamba.bundle.packing import Wording, export
    from medmamba.nnunet.loaded import load_folder

    folder = results_folder(tmp_path, folds=(0,))
    loaded = load_folder(folder)
    wording = Wording("Name", "2", "CC0", "MR brain", ("Some data",))
    digest = export(loaded, tmp_path / "b.tar", facts_of(loaded, folder), wording, None, False)
    found = read_model(tmp_path / "b.tar")
    facts = dict(found.facts)
    assert facts["Digest"] == digest and facts["Bundle"] == "Name, version 2" and facts["Intended for"] == "MR brain"
    assert found.software and not found.folds and str(tmp_path) not in str(found)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(MedMambaError):
        read_model(tmp_path / "none")
