from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from medmamba.errors import DataError
from medmamba.evaluate import folder as module
from medmamba.evaluate.folder import evaluate_folder, find_pairs
from medmamba.evaluate.targets import rules_of
from tests.evaluate.made_labels import RULES, save, small

FOUR = small([1, 2, 0, 0])


@pytest.fixture
def pred(tmp_path: Path) -> Path:
    return tmp_path / "pred"


@pytest.fixture
def ref(tmp_path: Path) -> Path:
    return tmp_path / "ref"


def test_bad_cases_are_named_and_the_rest_is_scored(pred: Path, ref: Path) -> None:
    for name in ("absent", "damaged", "good", "other", "shifted", "strange", "withheld"):
        save(ref / f"{name}.nii.gz", FOUR)
        save(pred / f"{name}.nii.gz", FOUR, origin=float(name == "shifted"))
    (pred / "absent.nii.gz").unlink()
    (pred / "damaged.nii.gz").write_text("no image")
    save(pred / "other.nii.gz", small([1] * 6))
    save(pred / "strange.nii.gz", small([1, 9, 0, 0]))
    (ref / "withheld.nii.gz").write_bytes(b"")
    seen: list[tuple[str, int, int]] = []
    report = evaluate_folder(pred, ref, RULES, jobs=1, on_case=lambda *one: seen.append(one))
    assert list(report.scores) == ["good"] and len(seen) == 7 and seen[-1][1:] == (7, 7)
    expected = {
        "absent": "no prediction for absent.nii.gz", "damaged": "damaged.nii.gz cannot be used", "other": "voxels",
        "shifted": "origin 1 mm apart", "strange": "holds 9, which", "withheld": "empty",
    }  # fmt: skip
    assert set(report.failures) == set(expected)
    for case, part in expected.items():
        assert part in report.failures[case], case


def test_predictions_may_have_another_ending_and_too_many_are_noted(pred: Path, ref: Path) -> None:
    save(ref / "a.nii.gz", FOUR), save(pred / "a.mha", FOUR), save(pred / "b.nii.gz", FOUR)
    report = evaluate_folder(pred, ref, RULES, jobs=1)
    assert report.mean_dice == 1
    assert report.notes == ("1 predictions have no reference and are not scored: b.nii.gz.",)


def test_some_cases_only(pred: Path, ref: Path) -> None:
    for name in ("a", "b"):
        save(ref / f"{name}.nii.gz", FOUR), save(pred / f"{name}.nii.gz", FOUR)
    assert list(find_pairs(pred, ref, ".nii.gz", ["b"])) == ["b"]
    assert list(evaluate_folder(pred, ref, RULES, ["b"], jobs=1).scores) == ["b"]


def test_folders_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        evaluate_folder(tmp_path / "no", tmp_path, RULES)
    with pytest.raises(DataError, match=r"holds no \*\.nii\.gz"):
        evaluate_folder(tmp_path, tmp_path, RULES)


def test_processes_give_the_same(pred: Path, ref: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "abc":
        for place in (pred, ref):
            save(place / f"{name}.nii.gz", rng.integers(0, 3, (4, 5, 6)).astype(np.uint8))
    (pred / "c.nii.gz").write_text("no image")
    alone = evaluate_folder(pred, ref, RULES, jobs=1)
    assert evaluate_folder(pred, ref, RULES, jobs=2).as_json() == alone.as_json() and len(alone.scores) == 2


def test_what_is_no_fault_of_a_file_is_told_too(ref: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a.nii.gz was killed" in module._died((ref, ref / "a.nii.gz", RULES)).text
    for error, text in ((MemoryError(), "not enough memory"), (OSError(5, "Input/output error"), "Input/output error")):
        monkeypatch.setattr(module, "score_case", Mock(side_effect=error))
        failure = module._work(ref / "a.nii.gz", ref, RULES)
        assert isinstance(failure, module._Failure) and text in failure.text


def test_as_many_processes_as_memory_holds(ref: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_count", lambda: 4)
    paths = [save(ref / f"{name}.nii.gz", np.zeros((100, 100, 100), np.uint8)) for name in "abcdef"]
    one = 10**6 * module._BYTES_A_VOXEL + module._PROCESS
    for free, jobs in ((10 * one, 4), (2.5 * one, 2), (0.1 * one, 1)):
        monkeypatch.setattr(module, "free_memory", lambda free=free: int(free))
        assert module._fitting(paths) == jobs


def test_real_labels_against_moved_ones(shared_data: Path, tmp_path: Path) -> None:
    import SimpleITK as sitk

    source = shared_data / "Dataset004_Hippocampus" / "labelsTr"
    names = sorted(path.name for path in source.glob("*.nii.gz"))[:6]
    for name in names:
        image = sitk.ReadImage(str(source / name))
        moved = sitk.GetImageFromArray(np.roll(sitk.GetArrayFromImage(image), 1, axis=1))
        moved.CopyInformation(image)
        (tmp_path / "pred").mkdir(exist_ok=True)
        sitk.WriteImage(moved, str(tmp_path / "pred" / name))
    rules = rules_of({"labels": {"background": 0, "Anterior": 1, "Posterior": 2}})
    cases = [name.removesuffix(".nii.gz") for name in names]
    report = evaluate_folder(tmp_path / "pred", source, rules, cases, jobs=1)
    assert list(report.scores) == cases and not report.failures
    for name in ("Anterior", "Posterior"):
        summary = report.summaries[name]["hd95_mm"]
        assert summary is not None and (summary.mean, summary.sd) == (pytest.approx(1), pytest.approx(0, abs=1e-6))
