"""A large image within a small memory.

`ulimit -v` (RLIMIT_AS) is no ceiling of memory for a process with torch: libraries and threads reserve gigabytes of
addresses that they never fill, so that it fails or passes by the machine. RLIMIT_DATA counts what a process may write
to and has to itself, which is what a container's limit comes to; files that are mapped for reading are not in it.
"""

import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba.bundle.facts import facts_of
from medmamba.bundle.packing import Wording, export
from medmamba.nnunet.loaded import load_folder
from tests.bundle.made import results_folder
from tests.nnunet import plans_by_hand
from tests.site.driver import open_root, start

SHAPE = (512, 512, 300)
LABELS = 25
CEILING, LIMIT = "2500M", 3 << 30


@pytest.fixture
def root() -> Iterator[Path]:
    """A container's root that every user may enter."""
    with open_root() as place:
        yield place


def bundle_of_many_labels(folder: Path) -> Path:
    """A network of large patches with 25 labels."""
    labels = {"background": 0} | {f"organ{number}": number for number in range(1, LABELS + 1)}
    dataset = plans_by_hand.dataset(channel_names={"0": "CT"}, labels=labels)
    plans = plans_by_hand.plans()
    for name in ("3d_fullres", "3d_lowres"):
        plans["configurations"][name]["patch_size"] = [64, 96, 96]
    results = results_folder(folder / "results", folds=(0,), plans=plans, dataset=dataset)
    model = load_folder(results)
    export(model, folder / "bundle", facts_of(model, results), Wording())
    return folder / "bundle"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_DATA"), reason="this system has no RLIMIT_DATA")
def test_a_large_image_with_many_labels_keeps_to_the_ceiling(root: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle_of_many_labels(tmp_path), root / "model")
    for path in (root / "model", *(root / "model").iterdir()):
        path.chmod(0o755)
    voxels = np.full(SHAPE, -1000, np.int16)  # tiles of one value are known without the network
    voxels[200:260, 200:260, 100:140] = np.random.default_rng(0).integers(-100, 200, (60, 60, 40))
    (root / "input").mkdir()
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([0.7, 0.8, 1.0, 1.0])), root / "input" / "a_0000.nii.gz")
    words = ("infer", "--device=cpu", "--precision=fp32", "--fast", f"--max-ram={CEILING}")
    ran = start(root, *words, limit=(resource.RLIMIT_DATA, LIMIT))
    assert ran.code == 0, ran.err
    case = json.loads((root / "output" / "run.json").read_text())["cases"][0]
    assert case["shape"] == list(SHAPE[::-1]) and case["peak_memory"] < 2500 << 20
    assert nibabel.load(root / "output" / "predictions" / "a.nii.gz").shape == SHAPE
    ran = start(root, *words[:-1], "--max-ram=1100M", limit=(resource.RLIMIT_DATA, LIMIT))
    assert (ran.code, ran.faults) == (4, ["memory"])
