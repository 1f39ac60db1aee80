"""A pair from its files to a folder with the result."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.errors import ConfigError, DataError
from medmamba.register import Inputs, Options, Outcome, register
from medmamba.register.pair import outputs
from medmamba.register.pair.stages import Watcher
from tests.register import made_pairs

Files = dict[str, Path]
SMALL = {"io_iterations": 15, "device": "cpu"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return made_pairs.write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def outcome(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """With labels that are only measured, and Learn2Reg's field."""
    inputs = Inputs(fixed_seg=files["fixed_seg"], moving_seg=files["moving_seg"])
    options = Options(format="both", label_interp="linear", **SMALL)
    return register(files["fixed"], files["moving"], tmp_path_factory.mktemp("out") / "result", options, inputs)


def test_it_finds_the_known_map(outcome: Outcome, files: Files) -> None:
    assert outcome.exit_code == 0 and outcome.report["outcome"]["kept"] == "deformation"
    fixed = nibabel.load(files["fixed"])
    points = made_pairs.grid_points(fixed.shape, fixed.affine)
    inside = made_pairs.structures(points) > 0
    truth = made_pairs.warped(points[inside])
    transform = sitk.ReadTransform(str(outcome.folder / "transform.h5"))
    flip = np.array([-1, -1, 1])
    found = np.array([transform.TransformPoint(point) for point in points[inside] * flip]) * flip
    error, before = (np.linalg.norm(one - truth, axis=1).mean() for one in (found, points[inside]))
    assert error < 1.0 < before
    back = sitk.ReadTransform(str(outcome.folder / "inverse_transform.h5"))
    returned = np.array([back.TransformPoint(point) for point in found * flip]) * flip
    assert np.percentile(np.linalg.norm(returned - points[inside], axis=1), 95) < 0.9


def test_everything_is_written(outcome: Outcome, files: Files) -> None:
    there = {path.name for path in outcome.folder.iterdir()}
    assert there == {
        "warped.nii.gz", "warped_seg.nii.gz", "transform.h5", "inverse_transform.h5", "affine.tfm", "jacobian.nii.gz",
        "displacement.nii.gz", "inverse_displacement.nii.gz", "report.json", "qc.png", "disp_fixed_moving.nii.gz",
    }  # fmt: skip
    assert outputs.is_complete(outcome.folder)
    fixed, warped = (nibabel.load(path) for path in (files["fixed"], outcome.folder / "warped.nii.gz"))
    assert warped.get_data_dtype() == np.int16 and np.allclose(warped.affine, fixed.affine)
    moving = nibabel.load(files["moving"]).get_fdata()
    assert moving.min() <= warped.get_fdata().min() and warped.get_fdata().max() <= moving.max()
    assert set(np.unique(nibabel.load(outcome.folder / "warped_seg.nii.gz").get_fdata())) == {0, 1, 2}
    assert nibabel.load(outcome.folder / "displacement.nii.gz").header["intent_code"] == 1007


def test_the_report_tells_all(outcome: Outcome) -> None:
    report = json.loads((outcome.folder / "report.json").read_text())
    assert report == json.loads(json.dumps(outcome.report, default=str))
    dice = [report["scores"][stage]["dice"]["mean"] for stage in ("start", "affine", "deformation")]
    assert dice[0] < dice[1] <= dice[2] + 0.01 and dice[2] > 0.85
    assert report["deformation"]["folding_percent"] == 0 and report["inverse_residual_mm"]["p95"] < 0.9
    assert {"read", "affine", "search", "optimise", "measure", "write", "all"} <= report["seconds"].keys()
    assert report["peak_memory"] > 0 and report["similarity"]["same"] and report["identity"]["options"]["seed"] == 0
    assert report["fixed"]["modality"] == "mri" and report["software"]["SimpleITK"]


def test_the_same_seed_gives_the_same_field(files: Files, outcome: Outcome, tmp_path: Path) -> None:
    inputs = Inputs(fixed_seg=files["fixed_seg"], moving_seg=files["moving_seg"])
    register(files["fixed"], files["moving"], tmp_path / "again", Options(label_interp="linear", **SMALL), inputs)
    first, second = (nibabel.load(folder / "displacement.nii.gz") for folder in (outcome.folder, tmp_path / "again"))
    assert np.asarray(first.dataobj).tobytes() == np.asarray(second.dataobj).tobytes()


def test_one_image_twice_gives_the_identity(files: Files, tmp_path: Path) -> None:
    outcome = register(files["fixed"], files["fixed"], tmp_path / "same", Options(**SMALL))
    assert outcome.exit_code == 0 and "the same image" in outcome.warnings[0]
    field = np.asarray(nibabel.load(tmp_path / "same/displacement.nii.gz").dataobj) / [2.0, 1.8, 2.2]
    assert np.abs(field).max() < 0.05
    image, warped = (nibabel.load(path).get_fdata() for path in (files["fixed"], tmp_path / "same/warped.nii.gz"))
    assert np.abs(image - warped).mean() < 2


def test_an_affine_alone_on_an_oblique_grid(files: Files, tmp_path: Path) -> None:
    oblique = made_pairs.write(tmp_path / "oblique.nii.gz", affine=made_pairs.OBLIQUE, shape=(30, 40, 20))
    options = Options(affine="rigid", deform="none", init="header", device="cpu")
    outcome = register(oblique, files["fixed"], tmp_path / "out", options)
    matrix = np.array(outcome.report["affine"]["matrix_ras"])
    assert np.allclose(matrix, np.eye(4), atol=0.6) and "search" not in outcome.report["seconds"]
    assert nibabel.load(tmp_path / "out/jacobian.nii.gz").shape == (30, 40, 20)


def test_a_worse_result_is_dropped(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medmamba.register.deform.sides import Deformation
    from medmamba.register.pair import stages

    def wrong(sides: object, settings: object, start: object, progress: object) -> Deformation:
        import torch

        field = torch.full((1, 3, *sides.fixed.shape[2:]), 3.0)  # type: ignore[attr-defined]
        return Deformation(field, -field)

    monkeypatch.setattr(stages, "optimise", wrong)
    outcome = register(files["fixed"], files["moving"], tmp_path / "out", Options(deform="io", device="cpu"))
    assert outcome.exit_code == 3 and outcome.report["outcome"]["kept"] == "affine"
    assert any("worse than the affine" in warning for warning in outcome.warnings)
    transform = sitk.ReadTransform(str(tmp_path / "out/transform.h5"))
    affine = sitk.ReadTransform(str(tmp_path / "out/affine.tfm"))
    assert np.allclose(transform.TransformPoint((3.0, 4, 5)), affine.TransformPoint((3.0, 4, 5)))


def test_nothing_is_left_of_a_bad_pair(files: Files, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(files["moving"].read_bytes()[:2000])
    with pytest.raises(DataError):
        register(files["fixed"], bad, tmp_path / "out", Options(**SMALL))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").touch()
    with pytest.raises(ConfigError, match=r"thesis.docx"):
        register(files["fixed"], files["moving"], tmp_path / "full", Options(**SMALL))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.nii.gz", "full"]


def test_a_watcher_can_end_it(files: Files, tmp_path: Path) -> None:
    class Impatient(Watcher):
        def stage(self, name: str) -> None:
            if name == "optimise":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        register(files["fixed"], files["moving"], tmp_path / "out", Options(**SMALL), watcher=Impatient())
    assert list(tmp_path.iterdir()) == []
