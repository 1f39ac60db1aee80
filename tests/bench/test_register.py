"""The methods' processes, what they write and how it is scored; ANTs and ConvexAdam are stood in for."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from medmamba.bench import register as bench
from medmamba.bench.register_options import METHODS, RegisterOptions
from medmamba.bench.register_report import Row, Timing
from medmamba.errors import ConfigError
from medmamba.register.grid import Grid
from medmamba.register.images import Volume, write_image

SIZE = (32, 36, 28)
MOVE = (3, -2, 2)
"""Voxels between the two bodies of a case."""


def body(offset: tuple[int, int, int]) -> np.ndarray:
    """A smooth blob of two labels, in [0, 1000]."""
    places = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1) - np.array(SIZE) / 2 - offset
    one = np.exp(-((places / [7, 9, 6]) ** 2).sum(-1))
    other = np.exp(-(((places - [4, 0, 0]) / 4) ** 2).sum(-1))
    return ndimage.gaussian_filter(600 * one + 400 * other, 1).astype(np.float32)


@pytest.fixture
def options(tmp_path: Path) -> RegisterOptions:
    for name, offset in (("a", (0, 0, 0)), ("b", MOVE)):
        image, grid = body(offset), Grid(SIZE, np.diag([1.0, 1.0, 1.5, 1.0]))
        labels = np.digitize(image, (250, 600)).astype(np.uint8)
        write_image(Volume(image, grid), tmp_path / "images" / f"{name}_0000.nii.gz")
        write_image(Volume(labels, grid), tmp_path / "labels" / f"{name}.nii.gz")
    (tmp_path / "pairs.csv").write_text("fixed,moving\na,b\nb,a\n")
    return RegisterOptions(
        pairs=tmp_path / "pairs.csv", images=(tmp_path / "images",), labels=(tmp_path / "labels",),
        methods=("identity", "sitk-affine", "sitk-demons"), threads=1,
    )  # fmt: skip


def test_simpleitk_registers_what_was_moved(options: RegisterOptions, tmp_path: Path) -> None:
    report = bench.run(options, tmp_path / "out")
    none, affine, demons = report.rows
    start, after = none.interval("dice"), affine.interval("dice")
    assert start is not None and after is not None and start.mean < 0.75 and after.mean > 0.95
    assert affine.extreme("folding_percent", largest=True) == 0 and affine.peak > 2**26
    assert [one.error for one in affine.timings] == ["", ""] and affine.seconds("cpu") > 0.01  # type: ignore[operator]
    assert affine.interval("lncc").mean > none.interval("lncc").mean  # type: ignore[union-attr]
    gain = demons.against(none, "dice")
    assert gain is not None and (gain.higher, gain.n) == (2, 2)
    content = report.as_json()
    assert [row["name"] for row in content["methods"]] == ["identity", "sitk-affine", "sitk-demons"]
    assert content["methods"][0]["differences"]["dice"]["mean"] == pytest.approx(-gain.mean)
    assert (tmp_path / "out" / "runs" / "sitk-demons" / "a_to_b.npz").is_file()


def test_peers_run_in_another_python_and_their_fields_are_read(
    options: RegisterOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for convexAdam moves everything by the true shift, in voxels of the fixed grid's axes."""
    package = tmp_path / "lib" / "convexAdam"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "convex_adam_MIND.py").write_text(
        "import numpy as np\n"
        "def convex_adam_pt(fixed, moving, dtype, device):\n"
        "    if fixed.mean() == moving.mean() or fixed.shape != moving.shape: raise ValueError('odd')\n"
        f"    sign = 1 if np.argmax(fixed.sum((1, 2))) < np.argmax(moving.sum((1, 2))) else -1\n"
        f"    return np.broadcast_to(sign * np.array({MOVE}), (*fixed.shape, 3))\n"
    )
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path / "lib"}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    chosen = RegisterOptions(**{**vars(options), "methods": ("convexadam", "ants-syn"), "peers_python": wrapper})
    convex, ants = sorted(bench.run(chosen, tmp_path / "out").rows, key=lambda row: row.name, reverse=True)
    assert not convex.absent and convex.interval("dice").mean > 0.999  # type: ignore[union-attr]
    assert ants.absent == f"ants is not installed in {wrapper} or here" and not ants.scores


def test_a_pair_that_fails_is_told_and_in_no_mean() -> None:
    row = Row("x", "", timings=(Timing("a", 0, 0, error="no overlap"), Timing("b", 4, 2), Timing("c", 9, 8)))
    assert row.failed == ["a: no overlap"] and row.seconds("cpu") == 8 and row.interval("dice") is None
    assert Row("x", "", timings=(Timing("b", 4, 2),)).seconds("wall") == 4


def test_who_runs_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.interpreter(METHODS["sitk-affine"], None) == sys.executable
    assert bench.interpreter(METHODS["ants-syn"], None) is None
    with pytest.raises(ConfigError, match="cannot be run"):
        bench.interpreter(METHODS["ants-syn"], tmp_path / "nothing")
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    found = bench.environment(2)
    assert found["OMP_NUM_THREADS"] == found["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] == "2"
    assert found["PYTHONPATH"].split(os.pathsep)[0] and "OMP_NUM_THREADS" not in bench.environment(None)


def test_more_threads_than_cores_measure_nothing(options: RegisterOptions) -> None:
    with pytest.raises(ConfigError, match="measure nothing"):
        bench.run(RegisterOptions(**{**vars(options), "threads": 10_000}))


@pytest.mark.slow
def test_the_figures_of_the_hippocampus_pairs(shared_data: Path) -> None:
    """Three pairs of the list whose twenty give 0.566, 0.663 and 0.761."""
    folder = shared_data / "Dataset004_Hippocampus"
    report = bench.run(
        RegisterOptions(
            pairs=shared_data / "registration" / "hippocampus_pairs.csv",
            images=(folder / "imagesTs", folder / "imagesTr"), labels=(folder / "labelsTs", folder / "labelsTr"),
            methods=("identity", "sitk-affine", "affine+search+io"), size=(48, 64, 48), limit=2, threads=1,
        )
    )  # fmt: skip
    identity, ours, affine = report.rows  # in the order of the methods' list
    values = identity.run().values["hippocampus_023_to_hippocampus_074"]
    assert (values["dice_1"], values["dice_2"]) == pytest.approx((0.5336, 0.3773), abs=2e-4)  # as the list says
    gains = affine.against(identity, "dice"), ours.against(affine, "dice")
    assert all(gain is not None and gain.mean > 0.03 for gain in gains)
    assert ours.extreme("folding_percent", largest=True) == 0
