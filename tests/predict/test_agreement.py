"""The labels of ours are nnU-Net's: real images, in every orientation, oblique and anisotropic, labels and regions."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from medmamba.bench.predict_models import ModelShape
from tests.predict.agreement import REGIONS, Pair, model, oriented

MR = ModelShape(("MRI",), 3, (32, 32, 32), (1.0, 1.0, 1.0), features=4)
BRAIN = ModelShape(("T1", "T1ce", "T2", "Flair"), 4, (32, 32, 32), (1.0, 1.0, 1.0), features=4)
CT = ModelShape(("CT",), 9, (32, 48, 48), (2.5, 2.0, 2.0), features=4)
_SHARPNESS = 20.0
Make = Callable[..., Pair]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """pair(shape, ...) -> both predictors; each model is made once."""
    made: dict[str, Pair] = {}

    def make(shape: ModelShape, mirror: bool = False, ours: dict[str, Any] | None = None, **how: Any) -> Pair:
        key = repr((shape, mirror, ours, how))
        if key not in made:
            folder = model(tmp_path_factory.mktemp("results"), shape, sharpness=_SHARPNESS, **how)
            made[key] = Pair(folder, mirror, **(ours or {}))
        return made[key]

    return make


def hippocampus(shared_data: Path, number: int = 0) -> Path:
    return sorted((shared_data / "Dataset004_Hippocampus/imagesTs").glob("*_0000.nii.gz"))[number]


def saved(image: sitk.Image, file: Path) -> Path:
    sitk.WriteImage(image, str(file))
    return file


@pytest.mark.parametrize(("number", "mirror"), [(0, False), (1, True)])
def test_two_real_images(number: int, mirror: bool, pair: Make, shared_data: Path, tmp_path: Path) -> None:
    shape = replace(MR, patch=(40, 48, 40)) if mirror else MR  # two tiles: eight times the work each
    pair(shape, mirror).check([hippocampus(shared_data, number)], tmp_path)


def test_torch_without_the_engine(pair: Make, shared_data: Path, tmp_path: Path) -> None:
    pair(MR, ours={"engine": False}).check([hippocampus(shared_data)], tmp_path)


def test_reoriented_oblique_anisotropic(pair: Make, shared_data: Path, tmp_path: Path) -> None:
    image = sitk.ReadImage(str(hippocampus(shared_data)))
    turn = Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix()
    moved = oriented(image, (2, 0, 1), (True, False, True), turn)
    moved.SetSpacing((0.8, 0.9, 3.5))
    moved.SetOrigin((-12.3, 45.6, 7.8))
    pair(MR).check([saved(moved, tmp_path / "a_0000.nii.gz")], tmp_path / "out")


def test_plans_that_transpose(pair: Make, shared_data: Path, tmp_path: Path) -> None:
    shape = ModelShape(("MRI",), 3, (8, 32, 32), (3.0, 1.0, 1.0), features=4)
    how = {"transpose_forward": [2, 0, 1], "transpose_backward": [1, 2, 0]}
    image = sitk.ReadImage(str(hippocampus(shared_data)))
    image.SetSpacing((3.2, 1.1, 0.9))
    pair(shape, **how).check([saved(image, tmp_path / "a_0000.nii.gz")], tmp_path / "out")


def test_regions_of_a_cropped_brain(pair: Make, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "Dataset137_BraTSTiny/imagesTr"
    case = sorted(folder.glob("*_0000.nii.gz"))[0].name.removesuffix("_0000.nii.gz")
    images = [sitk.ReadImage(str(folder / f"{case}_{channel:04d}.nii.gz")) for channel in range(4)]
    files = []
    for channel, image in enumerate(images):
        values = sitk.GetArrayFromImage(image)
        values[:6] = values[:, -9:] = 0  # nnU-Net crops what is zero in all channels
        cut = sitk.GetImageFromArray(values)
        cut.CopyInformation(image)
        files.append(saved(cut, tmp_path / f"a_{channel:04d}.nii.gz"))
    pair(BRAIN, dataset=REGIONS).check(files, tmp_path / "out")


def test_a_reader_that_turns_images_gives_the_same_labels_in_every_orientation(
    pair: Make, shared_data: Path, tmp_path: Path
) -> None:
    both = pair(MR, image_reader_writer="NibabelIOWithReorient")
    image = sitk.ReadImage(str(hippocampus(shared_data)))
    (plain,) = both.ours.segment(saved(image, tmp_path / "a_0000.nii.gz"), tmp_path / "plain")
    wanted = sitk.ReadImage(str(plain))
    for number, (axes, flips) in enumerate([((0, 1, 2), (True, False, False)), ((2, 0, 1), (False, True, True))]):
        file = saved(oriented(image, axes, flips), tmp_path / f"b{number}_0000.nii.gz")
        both.check([file], tmp_path / f"out{number}")
        (moved,) = both.ours.segment(file, tmp_path / f"moved{number}")
        expected = oriented(wanted, axes, flips)
        found = sitk.ReadImage(str(moved))
        assert np.array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(expected))
        assert found.GetDirection() == pytest.approx(expected.GetDirection(), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_every_orientation(axes: tuple[int, ...], pair: Make, shared_data: Path, tmp_path: Path) -> None:
    image = sitk.ReadImage(str(hippocampus(shared_data)))
    image.SetSpacing((1.0, 1.2, 1.7))
    for flips in product((False, True), repeat=3):
        name = "".join("-+"[flip] for flip in flips)
        file = saved(oriented(image, axes, flips), tmp_path / f"{name}_0000.nii.gz")
        pair(MR).check([file], tmp_path / name)


@pytest.mark.slow
def test_all_hippocampi(pair: Make, shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "Dataset004_Hippocampus").glob("images*/*_0000.nii.gz"))
    assert len(files) == 80
    for file in files:
        pair(MR).check([file], tmp_path / file.name)


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (5.0, 1.5, 1.5), (2.0, 2.5, 2.2)])
def test_ct_organs(spacing: tuple[float, float, float], pair: Make, shared_data: Path, tmp_path: Path) -> None:
    (file,) = (shared_data / "Dataset291_CTOrgans").glob("images*/*_0000.nii.gz")
    shape = ModelShape(("CT",), 9, (32, 48, 48), spacing, features=4)
    pair(shape).check([file], tmp_path)


@pytest.mark.slow
def test_all_tiny_brains(pair: Make, shared_data: Path, tmp_path: Path) -> None:
    first = sorted((shared_data / "Dataset137_BraTSTiny").glob("images*/*_0000.nii.gz"))
    assert len(first) >= 6
    for file in first:
        files = [file.with_name(file.name.replace("_0000", f"_{channel:04d}")) for channel in range(4)]
        pair(BRAIN, dataset=REGIONS).check(files, tmp_path / file.name)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["BraTS-GLI-00001-000", "TCGA-FG-6692"])
def test_whole_brains(case: str, pair: Make, shared_data: Path, tmp_path: Path) -> None:
    shape = ModelShape(("T1", "T1ce", "T2", "Flair"), 4, (96, 96, 96), (1.0, 1.0, 1.0), features=4)
    folder = shared_data / "brats_native" / case
    files = [folder / f"{case}-{channel}.nii.gz" for channel in ("t1n", "t1c", "t2w", "t2f")]
    pair(shape, dataset=REGIONS).check(files, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("series", ["mr_hippocrop_Study1", "mr_hippocrop_Study3", "ct_body_20slices"])
def test_dicom_series_as_their_nifti(series: str, pair: Make, shared_data: Path, tmp_path: Path) -> None:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(shared_data / "dicom" / series)))
    file = saved(reader.Execute(), tmp_path / "a_0000.nii.gz")
    shape = CT if series.startswith("ct") else MR
    pair(shape).check([file], tmp_path / "nifti")
    pair(shape).check([file], tmp_path / "dicom", given=shared_data / "dicom" / series)
