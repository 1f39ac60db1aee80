"""Estimates of memory, the plans that follow from them, and what a process really takes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import SetupError
from medmamba.predict import budget
from medmamba.predict.budget import Estimate, Plan, require
from tests.predict.stock import recipe

GB = 2**30


def made(**changes: Any) -> Estimate:
    """A case of about 10 GB, of which most are sums."""
    given = {"base": GB, "input": GB, "preprocessing": 2 * GB, "data": GB, "weights": 0, "activations": GB, "tile": GB}
    rest = {"row": GB // 20, "ring": 80, "export": GB // 2, "output": GB // 2, "folds": 2, "tiles": 7}
    return Estimate(**{**given, **rest, **changes})


def test_plans_give_up_one_thing_after_another() -> None:
    whole = made()
    ladder = [require(whole, int(size * GB), "case") for size in (100, 10, 7.7, 4.5, 3.5)]
    assert [(plan.overlap, plan.keep_uniform, plan.sums_on_disk, plan.data_on_disk) for plan in ladder] == [
        (True, True, False, False),
        (False, True, False, False),
        (False, False, False, False),
        (False, False, True, False),
        (False, False, True, True),
    ]
    peaks = [whole.peak(plan) for plan in ladder]
    assert peaks == sorted(peaks, reverse=True)


def test_a_case_that_cannot_fit_is_refused_with_what_it_takes() -> None:
    with pytest.raises(
        SetupError, match=r"ct_1 takes at least .* GB of memory and --max-ram is 2\.0 GB \(sums"
    ) as error:
        require(made(), 2 * GB, "ct_1")
    remedy = float(error.value.remedy.split("--max-ram ")[1].split("G")[0])
    assert require(made(), int(remedy * GB), "ct_1").data_on_disk


def test_without_a_ceiling_it_is_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medmamba.runtime.free_memory", lambda: None)
    assert require(made(), None, "case") == Plan()
    monkeypatch.setattr("medmamba.runtime.free_memory", lambda: 10**6)
    with pytest.raises(SetupError, match="what is free here"):
        require(made(base=8 * GB), None, "case")


def test_the_next_case_is_prepared_only_where_there_is_room_for_both() -> None:
    running, following = made(), made(input=5 * GB)
    needed = running.running(Plan()) + running.data + following.input + following.preprocessing
    assert budget.may_prepare([(running, Plan(), True)], following, int(needed * 1.04))
    assert not budget.may_prepare([(running, Plan(), True)], following, needed)
    assert not budget.may_prepare([(running, Plan(), True), (running, Plan(), False)], following, int(needed * 1.04))
    assert budget.may_prepare([], following, 1)


CHILD = """
import sys
from pathlib import Path
import torch
from tests.predict import stock
from medmamba.predict import budget
from medmamba.predict.files.cases import find_cases
from medmamba.predict.files.headers import probe
from medmamba.predict.predictor import Predictor
from medmamba.predict.recipe import LoadedModel, Resampling

image, plan = Path(sys.argv[1]), int(sys.argv[2])
classes = 60
network = torch.nn.Conv3d(1, classes, 1).requires_grad_(False)
recipe = stock.recipe((1.5, 1.5, 1.5), classes, normalization=(("CTNormalization", False),))
object.__setattr__(recipe, "patch_size", (64, 64, 64))
model = LoadedModel(recipe, network, (network.state_dict(),), ("0",), {}, {}, "made", "sha256:0", None)
predictor = Predictor(model, device="cpu", engine=False, step_size=1, max_ram="1T", scratch=image.parent)
case = find_cases(image, recipe)[0]
predictor.memory.max_ram = int(predictor.estimate(probe(case, recipe)).peak(budget.PLANS[plan]) / 0.97) + 1
prepared = predictor.prepare(case)
notes = predictor.finish(prepared, image.with_name("out.nii.gz"))
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(predictor.memory.max_ram, notes.estimate, int(status["VmHWM"].split()[0]) * 1024, notes.plan, sep="|")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read the peak from")
@pytest.mark.parametrize(
    ("plan", "words"),
    [
        pytest.param(0, "the next case prepared meanwhile", marks=pytest.mark.slow),
        (3, "sums in files on the disk"),
        pytest.param(4, "sums and images in files on the disk", marks=pytest.mark.slow),
    ],
)
def test_the_peak_stays_below_the_ceiling(plan: int, words: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    coarse = sitk.GetImageFromArray(random.normal(0, 300, (12, 18, 18)).astype(np.float32))
    coarse.SetSpacing((10, 10, 10))
    image = sitk.Resample(coarse, (192, 192, 128), sitk.Transform(), sitk.sitkLinear, (0, 0, 0), (0.9, 0.9, 0.9))
    sitk.WriteImage(sitk.Cast(image, sitk.sitkInt16), str(tmp_path / "ct_0000.nii.gz"))
    command = [sys.executable, "-c", CHILD, str(tmp_path / "ct_0000.nii.gz"), str(plan)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    ceiling, expected, peak, taken = done.stdout.strip().split("|")
    assert int(peak) < int(ceiling)
    assert 0.7 < int(expected) / int(peak) < 1.5
    assert taken.endswith(words)


def test_an_estimate_comes_from_the_header_alone() -> None:
    class Network:
        folds = 2

        def activation_bytes(self) -> int:
            return 1000

        def weight_bytes(self) -> int:
            return 10

    class Header:
        shape, spacing = (20, 40, 60), (2.0, 1.0, 1.0)

    found = budget.estimate(Header(), recipe((1.0, 1.0, 1.0), 3), Network(), base=7)
    assert (found.base, found.input, found.data) == (7, 4 * 48_000, 4 * 96_000)
    assert (found.row, found.ring, found.folds) == (2 * 3 * 40 * 60 * 2, 16, 2)
    assert found.tiles == 2 * 4 * 4 * 7
    assert sum(line.count("MB") for line in found.lines()) == 9
