"""The turns, the commands and the figures of `bench predict`; stock nnU-Net's command itself takes half a minute."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.bench import predict
from medmamba.bench.predict_report import STOCK, PredictOptions, Row
from medmamba.bench.predict_workloads import Prepared
from medmamba.bench.process_tree import Usage
from medmamba.errors import ConfigError


def usage(wall: float = 1.0, code: int = 0, text: str = "") -> Usage:
    return Usage(wall, 2 * wall, 1000, 900, 2, code, text)


@pytest.fixture
def ready(tmp_path: Path) -> Prepared:
    for fold in ("0", "3", "all"):
        (tmp_path / f"model/fold_{fold}").mkdir(parents=True)
        (tmp_path / f"model/fold_{fold}/checkpoint_final.pth").touch()
    return Prepared("x", "about", tmp_path / "model", tmp_path / "images", False, ".nii.gz")


def test_both_get_the_same_model_images_folds_and_mirroring(ready: Prepared) -> None:
    stock, fp32, fast = predict.sides(
        ready, PredictOptions(variants=("fp32", "fast"), stock_processes=1, ours=("--x",))
    )
    typed = stock.typed()
    assert typed.startswith(predict.STOCK_COMMAND) and typed.endswith("-npp 1 -nps 1 --disable_tta -o OUTPUT")
    assert "-f 0 3 -device cpu" in typed
    for side in (stock, fp32, fast):
        assert str(ready.model) in side.typed() and str(ready.images) in side.typed()
    assert fp32.typed().endswith("--no-mirror --precision fp32 --x --output OUTPUT")
    assert "--fast" in fast.arguments
    mirrored = Prepared(**{**vars(ready), "mirror": True})
    assert not {"--disable_tta", "--no-mirror"} & {
        one for side in predict.sides(mirrored, PredictOptions()) for one in side.arguments
    }


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands are not run: they write a label map, ours one whose first voxel differs, and bf16 fails."""
    names: list[str] = []

    def run(command: list[str], environment: dict[str, str], log: Path, cores: Any = None) -> Usage:
        output = Path(command[-1])
        names.append(output.name)
        if output.name == "bf16":
            return usage(code=1, text="first\n\nout of luck\n0 done")
        output.mkdir(parents=True)
        labels = np.zeros((1, 2, 5), np.uint8)
        labels[0, 0, 0] = output.name != STOCK
        sitk.WriteImage(sitk.GetImageFromArray(labels), str(output / "a.nii.gz"))
        return usage(4.0 if output.name == STOCK else 1.0 + len(names))

    monkeypatch.setattr(predict.process_tree, "run", run)
    return names


def test_turns_alternate_and_a_side_that_fails_is_left_out(ready: Prepared, runs: list[str], tmp_path: Path) -> None:
    found = predict.compare(ready, PredictOptions(repeats=2), tmp_path / "runs", lambda text: None)
    assert runs == [STOCK, "fp32", "bf16", STOCK, "fp32"]
    stock, ours, failed = found.rows
    assert ours.agreement is not None and ours.agreement.differing == 1
    assert failed.absent == "failed: exit code 1: out of luck 0 done" and failed.against(stock) == {}
    assert ours.against(stock) == pytest.approx({"wall": 3 / 4, "cpu": 6 / 8, "peak": 1, "wall_median": 4.5 / 4})
    content = found.as_json()["rows"]
    assert content[1]["ratios"]["wall"] == 0.75 and content[0]["ratios"] == {}
    assert [len(row["runs"]) for row in content] == [2, 2, 1]


def test_rows_keep_the_quickest_run_and_the_largest_memory() -> None:
    row = Row("x", "", (usage(3.0), Usage(2.0, 7.0, 5000, 1, 1, 0, "")))
    assert (row.wall, row.cpu, row.peak) == (2.0, 6.0, 5000)


def test_the_callers_thread_numbers_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "OMP_NUM_THREADS" not in predict.environment(None)
    assert predict.environment(1)["OMP_NUM_THREADS"] == "1"


def test_commands_lie_beside_this_python() -> None:
    assert Path(predict.executable(predict.STOCK_COMMAND)).parent == Path(sys.executable).parent


def test_wrong_options_are_sentences() -> None:
    with pytest.raises(ConfigError, match="There is no variant 'fp8'"):
        predict.run(PredictOptions(variants=("fp8",)))
    with pytest.raises(ConfigError, match="measure nothing"):
        predict.run(PredictOptions(threads=10_000))


@pytest.mark.slow
def test_the_whole_command_against_stock(tmp_path: Path) -> None:
    report = predict.run(PredictOptions(workloads=("small",), variants=("fp32",), quick=True, ties=True), tmp_path)
    stock, ours = report.compared[0].rows
    assert not stock.absent and not ours.absent
    assert ours.agreement is not None and ours.agreement.same_grid
    assert ours.agreement.same >= 0.9999 or ours.agreement.ties == ours.agreement.differing
    assert min(stock.peak, ours.peak) > 2**27 and min(stock.cpu, ours.cpu) > 0.5
