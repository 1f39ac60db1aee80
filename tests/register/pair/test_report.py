"""report.json of a pair."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medmamba.register.affine import AffineResult
from medmamba.register.images import Volume
from medmamba.register.intensity import scheme_of
from medmamba.register.pair.checks import Pair, Side
from medmamba.register.pair.outcome import Score, Verdict
from medmamba.register.pair.outputs import Result
from medmamba.register.pair.report import (
    affine_json,
    deformation_of,
    losses_json,
    report_of,
    residual_of,
    side_json,
    write_report,
)
from medmamba.register.transforms.inverse import inverted
from medmamba.register.transforms.transform import Affine, Field, Transform
from medmamba.register.warping import jacobian
from tests.register.made import FIXED, MOVING, image, registration, turn


def side(volume: Volume, name: str = "a.nii.gz", **more: Any) -> Side:
    return Side(Volume(volume.data, volume.grid, Path(name)), scheme_of(volume.data, "mri"), **more)


PAIR = Pair(side(image(FIXED)), side(image(MOVING), "b.nii.gz"), None, (), False, ())


def result(transform: Transform, back: Transform | None = None) -> Result:
    affine = next((part for part in transform.parts if isinstance(part, Affine)), Affine(np.eye(4)))
    return Result(transform, back or inverted(transform), affine, jacobian(transform, FIXED))


def test_a_good_inverse_is_near_and_a_shifted_one_as_far_as_it_is_shifted() -> None:
    good = residual_of(result(Transform((turn(),))), PAIR)
    assert good is not None and good.p95 < 1e-6
    shift = np.eye(4)
    shift[:3, 3] = 3, 0, 4
    off = residual_of(result(Transform(()), Transform((Affine(shift),))), PAIR)
    assert off is not None and off.mean == pytest.approx(5) and off.p95 == pytest.approx(5)
    both = residual_of(result(registration()), PAIR)
    assert both is not None and both.p95 < 0.1 * min(FIXED.spacing)


def test_without_a_voxel_that_stays_inside_there_is_no_residual() -> None:
    away = np.eye(4)
    away[0, 3] = 500
    assert residual_of(result(Transform((Affine(away),))), PAIR) is None


def test_figures_of_a_deformation() -> None:
    still = deformation_of(result(Transform((Field(np.zeros((*FIXED.shape, 3), np.float32), FIXED),))), None)
    assert still["folding_percent"] == 0 and still["sdlogj"] == pytest.approx(0, abs=1e-6)
    assert still["displacement_mm"] == {"mean": 0.0, "max": 0.0} and still["jacobian"]["median"] == pytest.approx(1)
    step = np.zeros((*FIXED.shape, 3), np.float32)
    step[..., 2] = 1  # one voxel along the array's last axis
    moved = deformation_of(result(Transform((Field(step, FIXED), turn()))), None)
    assert moved["displacement_mm"]["mean"] == pytest.approx(FIXED.spacing[2], rel=1e-5)
    double = Transform((Affine(np.diag([2.0, 1, 1, 1])),))
    assert deformation_of(result(double), None)["jacobian"]["p99"] == pytest.approx(2, rel=1e-3)
    assert "displacement_mm" not in deformation_of(result(double), None)


def test_folds_count_inside_the_mask_and_off_the_rim() -> None:
    values = np.ones(FIXED.shape, np.float32)
    values[8, 10, 6] = -0.5
    values[0] = -1  # the rim
    made = Result(Transform(()), Transform(()), Affine(np.eye(4)), values)
    inner = np.prod([size - 4 for size in FIXED.shape])
    assert deformation_of(made, None)["folding_percent"] == pytest.approx(100 / inner)
    mask = np.zeros(FIXED.shape, bool)
    mask[7:10, 9:12, 5:8] = True
    assert deformation_of(made, mask)["folding_percent"] == pytest.approx(100 / 27)
    mask[8, 10, 6] = False
    assert deformation_of(made, mask)["folding_percent"] == 0
    assert deformation_of(made, np.zeros(FIXED.shape, bool))["jacobian"] == {}


def test_the_affine_stage() -> None:
    found = affine_json(AffineResult(turn(), -0.1, -0.4, "moments"))
    assert found["matrix_ras"] == turn().matrix.tolist() and found["start"] == "moments"
    assert found["determinant"] == pytest.approx(np.linalg.det(turn().matrix[:3, :3]))
    assert (found["metric_before"], found["metric_after"]) == (-0.1, -0.4)


def test_a_side_tells_how_it_was_seen() -> None:
    mask = Volume(np.ones(FIXED.shape, np.uint8), FIXED, Path("mask.nii.gz"))
    found = side_json(side(image(FIXED, np.int16), mask=mask))
    assert found["path"] == "a.nii.gz" and found["dtype"] == "int16" and found["modality"] == "mri"
    assert found["spacing_mm"] == pytest.approx([0.9, 1.3, 2.4])
    assert found["mask"] == "mask.nii.gz" and found["labels"] is None and found["scaled_from"][0] == 0


def test_the_whole_is_json_that_any_program_reads(tmp_path: Path) -> None:
    scores = [
        Score("start", {"lncc": -0.1}, {}, {}, ()),
        Score("affine", {"lncc": float("nan")}, {1: None}, {1: 2.0}, ()),
    ]
    verdict = Verdict("affine", 0, "Better.", "lncc")
    found = {"more": (np.float32(1.5), np.int64(3), Path("x"), float("inf"), {2: np.nan}), "losses": [[0.1]]}
    write_report(tmp_path / "report.json", report_of(PAIR, {"seed": 0}, scores, verdict, found))
    content = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert content["outcome"] == {"exit_code": 0, "kept": "affine", "sentence": "Better.", "judged_by": "lncc"}
    assert content["more"] == [1.5, 3, "x", None, {"2": None}]
    assert content["scores"]["start"]["similarity"] == {"lncc": -0.1}
    assert content["scores"]["affine"]["similarity"] == {"lncc": None}
    assert content["scores"]["affine"]["dice"] == {"mean": None, "1": None}
    assert content["format"] == 1 and content["identity"] == {"seed": 0} and content["moving"]["path"] == "b.nii.gz"


def test_losses_are_short() -> None:
    assert losses_json([[0.123456789], []]) == [[0.123457], []]


def test_a_field_beyond_its_grid_does_not_count_against_the_inverse() -> None:
    """Voxels that leave the field's grid have no way back: they are left out."""
    grown = Field(np.full((*FIXED.shape, 3), 4.0, np.float32), FIXED)
    found = residual_of(result(Transform((grown,))), PAIR)
    assert found is not None and found.p95 < 0.1 and found.points < np.prod(FIXED.shape)
