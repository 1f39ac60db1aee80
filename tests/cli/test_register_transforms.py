"""medmamba register warp, points, jacobian and convert, as typed; figures against plain arithmetic."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.register.images import Volume, read_image, write_image
from medmamba.register.transforms.files import FORMS, read
from medmamba.register.transforms.inverse import inverted
from medmamba.register.transforms.itk import write_itk
from medmamba.register.transforms.transform import Transform
from medmamba.register.warping import jacobian, warp_image, warp_labels
from tests.register.made import FIXED, MOVING, field, image, labels, registration, turn

Run = Callable[..., Any]


@pytest.fixture
def apply(run: Run) -> Run:
    """`medmamba register`, in a folder with a registration's result, its images and landmarks."""
    write_image(Volume(image(FIXED).data, FIXED), "fixed.nii.gz")
    write_image(image(dtype=np.int16), "moving.nii.gz")
    write_image(labels(), "labels.nii.gz")
    write_itk(registration(), Path("result/transform.h5"))
    write_itk(inverted(registration()), Path("result/inverse_transform.h5"))
    write_itk(registration(), Path("alone.h5"))
    write_itk(Transform((turn(),)), Path("affine.tfm"))
    Path("points.csv").write_text("x,y,z,label\n" + ",".join(map(str, FIXED.centre * [-1, -1, 1])) + ",middle\n")
    return lambda *arguments: run("register", *arguments)


def figures(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


WARP = ("warp", "--transform", "result", "--input", "moving.nii.gz", "--reference", "fixed.nii.gz", "--out", "w.nii.gz")


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "bspline"])
def test_an_image_is_warped(apply: Run, interpolation: str) -> None:
    told = figures(apply(*WARP, "--interp", interpolation, "--json"))
    warped = read_image("w.nii.gz")
    assert warped.grid.same_as(FIXED)
    wanted = warp_image(image(dtype=np.int16), registration(), FIXED, interpolation).data
    assert (warped.data == wanted).mean() > 0.99  # headers hold 32 bits: a value at a half may be rounded otherwise
    assert told["dtype"] == "int16"
    assert told["shape"] == list(FIXED.shape)
    assert 0 < told["outside_share"] < 0.5
    assert told["inverse_residual_mm"] is None


def test_a_label_map_is_warped_by_shares(apply: Run) -> None:
    told = apply(*(part.replace("moving.nii.gz", "labels.nii.gz") for part in WARP), "--interp", "label")
    assert told.exit_code == 0
    assert "17 x 22 x 14 voxels of uint8" in told.stdout
    assert np.array_equal(read_image("w.nii.gz").data, warp_labels(labels(), registration(), FIXED, "linear").data)


def test_what_lies_outside_gets_the_number_asked_for(apply: Run) -> None:
    assert apply(*WARP, "--pad-value", "-1024").exit_code == 0
    assert read_image("w.nii.gz").data.min() == -1024


@pytest.mark.parametrize("transform", ["result", "alone.h5"])
def test_the_fixed_image_goes_to_the_moving_one(apply: Run, transform: str) -> None:
    told = figures(
        apply("warp", "--transform", transform, "--inverse", "--input", "fixed.nii.gz", "--reference", "moving.nii.gz",
            "--out", "back.nii.gz", "--json")
    )  # fmt: skip
    wanted = warp_image(image(FIXED), inverted(registration()), MOVING).data
    assert np.allclose(read_image("back.nii.gz").data, wanted, atol=0.5)
    assert (told["inverse_residual_mm"] is None) == (transform == "result")


@pytest.mark.parametrize("transform", ["result", "alone.h5"])
def test_points_go_there_and_come_back(apply: Run, transform: str) -> None:
    ask = ("points", "--transform", transform, "--points")
    there = figures(apply(*ask, "points.csv", "--out", "there.mrk.json", "--json"))
    assert there["points"] == 1
    assert there["direction"] == "fixed-to-moving"
    (place,) = json.loads(Path("there.mrk.json").read_text())["markups"][0]["controlPoints"]
    wanted = registration().points(FIXED.centre)[0]
    assert np.allclose(place["position"] * np.array([-1, -1, 1]), wanted, atol=1e-3)
    assert np.isclose(there["mean_mm"], np.linalg.norm(wanted - FIXED.centre), atol=1e-3)
    back = apply(*ask, "there.mrk.json", "--direction", "moving-to-fixed", "--out", "back.csv")
    assert "1 point(s) of the moving image, now of the fixed one" in back.stdout
    x, y, z, name = Path("back.csv").read_text().splitlines()[1].split(",")
    assert np.allclose([-float(x), -float(y), float(z)], FIXED.centre, atol=0.1 * min(FIXED.spacing))
    assert name == "middle"


def test_points_in_voxels_are_those_of_their_images(apply: Run) -> None:
    Path("voxels.csv").write_text("8,10,7\n")
    images = ("--fixed", "fixed.nii.gz", "--moving", "moving.nii.gz")
    figures(apply(*changed(POINTS, points="voxels.csv", out="out.csv", space="voxel"), *images, "--json"))
    numbers = [float(cell) for cell in Path("out.csv").read_text().splitlines()[1].split(",")]
    wanted = MOVING.index(registration().points(FIXED.world([[8, 10, 7]])))[0]
    assert np.allclose(numbers, wanted, atol=1e-3)


def test_points_beyond_the_field_are_told(apply: Run) -> None:
    Path("far.csv").write_text("900,900,900\n")
    told = apply("points", "--transform", "result", "--points", "far.csv", "--out", "out.csv")
    assert told.exit_code == 0
    assert "1 of 1 points lie outside of the field" in told.stderr


def test_the_jacobian_and_its_logarithm(apply: Run) -> None:
    ask = ("jacobian", "--transform", "result", "--reference", "fixed.nii.gz", "--out")
    told = figures(apply(*ask, "j.nii.gz", "--json"))
    wanted = jacobian(registration(), FIXED)
    assert np.allclose(read_image("j.nii.gz").data, wanted, atol=1e-4)
    assert np.isclose(told["determinant"]["mean"], wanted.mean(), atol=1e-4)
    assert told["folded_voxels"] == (wanted <= 0).sum()
    assert "folded" in apply(*ask, "l.nii.gz", "--log").stdout
    assert np.allclose(read_image("l.nii.gz").data, np.log(np.maximum(wanted, 1e-9)), atol=1e-3)


def test_folds_are_counted(apply: Run) -> None:
    write_itk(Transform((field(most=9),)), Path("folded.h5"))
    told = figures(
        apply("jacobian", "--transform", "folded.h5", "--reference", "fixed.nii.gz", "--out", "j.nii", "--json")
    )
    assert told["folded_voxels"] == (read_image("j.nii").data <= 0).sum() > 50
    assert np.isclose(told["folded_percent"], 100 * told["folded_voxels"] / np.prod(FIXED.shape))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_converts_and_converts_back(apply: Run, form: str) -> None:
    out = f"other{FORMS[form].endings[0]}"
    both = ("--reference", "fixed.nii.gz", "--moving", "moving.nii.gz", "--json")
    assert (
        figures(apply("convert", "--transform", "result", "--to", form, "--out", out, *both))["largest_difference_mm"]
        < 1e-3
    )
    told = figures(apply("convert", "--transform", out, "--to", "itk-h5", "--out", "again.h5", *both))
    assert told["largest_difference_mm"] < 1e-3
    places = FIXED.some()
    assert np.allclose(read("again.h5").points(places), registration().points(places), atol=1e-3)


def test_a_conversion_goes_by_the_fields_own_grid(apply: Run) -> None:
    told = figures(apply("convert", "--transform", "result", "--to", "itk-nifti", "--out", "d.nii.gz", "--json"))
    assert told["parts"] == ["field", "affine"]
    assert nibabel.load("d.nii.gz").shape == (*FIXED.shape, 1, 3)
    assert (
        figures(apply("convert", "--transform", "affine.tfm", "--to", "itk-h5", "--out", "a.mat", "--json"))["shape"]
        is None
    )
    assert np.allclose(read("a.mat").parts[0].matrix, turn().matrix)


def test_the_inverse_converts(apply: Run) -> None:
    figures(apply("convert", "--transform", "affine.tfm", "--to", "itk-h5", "--out", "back.tfm", "--inverse", "--json"))
    theirs = sitk.ReadTransform("back.tfm")
    moved = turn().points(FIXED.centre[None])[0] * [-1, -1, 1]
    assert np.allclose(theirs.TransformPoint(moved.tolist()) * np.array([-1, -1, 1]), FIXED.centre)


def changed(command: tuple[str, ...], **options: str) -> tuple[str, ...]:
    pairs = dict(zip(command[1::2], command[2::2], strict=True)) | {
        f"--{name}": value for name, value in options.items()
    }
    return (command[0], *(word for pair in pairs.items() for word in pair))


POINTS = ("points", "--transform", "result", "--points", "points.csv", "--out", "w.csv")
JACOBIAN = ("jacobian", "--transform", "result", "--reference", "fixed.nii.gz", "--out", "w.nii.gz")
CONVERT = ("convert", "--transform", "result", "--to", "itk-nifti", "--out", "w.nii.gz")
BAD = {
    "an image for a transform": (changed(WARP, transform="moving.nii.gz"), "is no displacement field"),
    "a folder without a result": (changed(WARP, transform="."), "holds no transform.h5"),
    "a transform for an image": (changed(WARP, input="alone.h5"), "no ending of an image"),
    "a missing image": (changed(WARP, input="gone.nii.gz"), "gone.nii.gz is not there"),
    "an image for labels": (changed(WARP, interp="label", input="fixed.nii.gz"), "no label map"),
    "a number for labels": ((*WARP, "--interp", "label", "--pad-value", "3"), "Labels have 0"),
    "a number too large": ((*WARP, "--pad-value", "1e9"), "int16, which cannot hold"),
    "an output that is no image": (changed(WARP, out="w.png"), "no ending of an image"),
    "an output over an input": (changed(WARP, out="moving.nii.gz"), "would be replaced"),
    "a reference elsewhere": (changed(WARP, reference="far.nii.gz"), "covers no voxel"),
    "an input elsewhere": (changed(WARP, input="far.nii.gz"), "No voxel of fixed.nii.gz meets far.nii.gz"),
    "voxels without images": ((*POINTS, "--space", "voxel"), "Voxels need both images"),
    "no points": (changed(POINTS, points="none.csv"), "holds no points"),
    "points into an image": (changed(POINTS, out="w.nii.gz"), "no ending of a list"),
    "a Jacobian elsewhere": (changed(JACOBIAN, reference="far.nii.gz"), "covers no voxel"),
    "a form with another ending": (changed(CONVERT, to="voxel-npz"), "no ending of the form voxel-npz"),
    "an affine without a grid": (changed(CONVERT, transform="affine.tfm"), "no voxels to write a field on"),
    "a field as one affine": (changed(CONVERT, to="itk-h5", out="w.tfm"), "affine map only"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused_in_a_sentence_and_nothing_is_written(apply: Run, what: str, tmp_path: Path) -> None:
    command, says = BAD[what]
    far = FIXED.affine.copy()
    far[:3, 3] += 2000
    write_image(Volume(image(FIXED).data, type(FIXED)(FIXED.shape, far)), "far.nii.gz")
    Path("none.csv").write_text("x,y,z\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    told = apply(*command)
    assert told.exit_code == 2
    assert says in told.stderr
    assert "Traceback" not in told.output
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["warp", "points", "jacobian", "convert"])
def test_each_command_shows_examples(apply: Run, command: str) -> None:
    told = apply(command, "--help")
    assert told.exit_code == 0
    assert f"medmamba register {command} --transform" in " ".join(told.stdout.split())
