from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom")

from medmamba.data.cards import card
from medmamba.data.labelmaps import description
from medmamba.dicom import extra
from medmamba.dicom.codes import ABNORMAL, TISSUE
from medmamba.dicom.reading import read_segmentation
from medmamba.errors import ConfigError, DataError, SetupError
from medmamba.predict.files import segmentation
from medmamba.predict.files.images import read
from medmamba.predict.recipe import LoadedModel, Reader
from tests.dicom.made import OBLIQUE, lps, write_series
from tests.predict.fakes import model
from tests.predict.made_images import affine, case, recipe, save, voxels


def thresholds(data: np.ndarray) -> np.ndarray:
    return (data[0] > -3000).astype(np.uint8) + (data[0] > 3000)


@pytest.mark.parametrize("reader", ["itk", "itk-ras", "nibabel", "nibabel-ras"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0)])
def test_a_label_map_lies_where_its_series_does(tmp_path: Path, reader: Reader, axes: Any) -> None:
    """However the model's reader turns the image, and whatever the names of the slices."""
    matrix = affine(turn=(20, -15, 40), axes=axes)
    series = case(write_series(tmp_path / "series", matrix=matrix), kind="dicom")
    image = read(series, recipe(reader))
    segmentation.write_segmentation(thresholds(image.data), image.geometry, tmp_path / "c.dcm", model())
    volume = read_segmentation(tmp_path / "c.dcm")
    found = np.zeros(voxels().shape, np.uint8)
    steps = np.rint(np.linalg.inv(lps(matrix)) @ volume.affine).astype(int)
    index = np.argwhere(volume.voxels)[:, ::-1]
    found[tuple((index @ steps[:3, :3].T + steps[:3, 3]).T)] = volume.voxels[tuple(index[:, ::-1].T)]
    assert np.array_equal(found, thresholds(voxels()[None]))
    assert volume.names == {1: "shell", 2: "core"}
    assert segmentation.is_of_series(tmp_path / "c.dcm", series)


def test_only_some_labels(tmp_path: Path) -> None:
    image = read(case(write_series(tmp_path / "series"), kind="dicom"), recipe())
    labels = thresholds(image.data)
    segmentation.write_segmentation(labels, image.geometry, tmp_path / "c.dcm", model(), roi={2})
    volume = read_segmentation(tmp_path / "c.dcm", {"core": 2})
    assert volume.names == {2: "core"}
    assert np.array_equal(volume.on_grid(labels.shape, lps(OBLIQUE)), np.where(labels == 2, 2, 0))


def of_card(name: str, **changes: Any) -> LoadedModel:
    """A model of a card's dataset."""
    known = card(name)
    labels: dict[str, Any] = {"background": 0}
    labels |= {one: tuple(value) if isinstance(value, list) else value for one, value in known.targets.items()}
    made = replace(model(), plans={"dataset_name": known.folder_name}, **changes)
    return replace(made, recipe=replace(made.recipe, labels=labels, foreground=tuple(known.labels.values())[1:]))


@pytest.mark.parametrize("kept", [True, False], ids=["label_map.json", "name"])
def test_names_and_codes_of_a_model_of_regions_are_the_card_s(kept: bool) -> None:
    known = description(card("BraTS2023")) if kept else None
    found = segmentation.described(of_card("BraTS2023", label_map=known))
    assert [(one.value, one.name, one.kind[2]) for one in found] == [
        (1, "NCR", "Necrosis"), (2, "SNFH_ED", "Edema"), (3, "ET", "Tumor"),
    ]  # fmt: skip
    assert {one.category for one in found} == {ABNORMAL}


@pytest.mark.parametrize("label_map", [None, {"kind": "values"}, {"codes": 5, "labels": {}}])
def test_labels_of_an_unknown_dataset_are_some_tissue(label_map: Any) -> None:
    alike = of_card("Hippocampus", label_map=label_map)
    assert segmentation.described(alike)[0].side is not None
    other = replace(alike, recipe=replace(alike.recipe, labels={"background": 0, "cat": 1, "dog": 2}))
    assert [(one.name, one.kind) for one in segmentation.described(other)] == [("cat", TISSUE), ("dog", TISSUE)]
    regions = replace(alike, recipe=replace(alike.recipe, labels={"background": 0, "all": (1, 2), "dog": (2,)}))
    assert [one.name for one in segmentation.described(regions)] == ["label 1", "dog"]


def test_the_algorithm_is_named_without_its_folder() -> None:
    made = segmentation.algorithm(replace(of_card("Hippocampus"), name="/home/somebody/results"))
    assert (made.name, made.digest) == ("Dataset004_Hippocampus nnUNetTrainer", "sha256:00")
    assert made.settings == {"configuration": "3d_fullres", "folds": "0"}


def test_what_cannot_become_a_segmentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = case(save(tmp_path / "c.nii.gz"))
    with pytest.raises(ConfigError, match=r"c\.nii\.gz is no DICOM series"):
        segmentation.require_dicom([image], tmp_path / "out")
    series = case(write_series(tmp_path / "series"), kind="dicom")
    segmentation.require_dicom([series], tmp_path / "out")
    with pytest.raises(ConfigError, match="among the slices"):
        segmentation.require_dicom([series], tmp_path / "series")
    read_image = read(image, recipe())
    with pytest.raises(ConfigError, match="the image is no DICOM series"):
        segmentation.write_segmentation(thresholds(read_image.data), read_image.geometry, tmp_path / "x.dcm", model())
    segmentation.require_writable(False)
    with pytest.raises(ConfigError, match="cannot have raw label values"):
        segmentation.require_writable(True)
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(SetupError, match="pip install"):
        segmentation.require_writable(False)
    assert extra is segmentation.extra


def test_the_bad_real_series_are_refused_in_a_sentence(shared_data: Path) -> None:
    folder = shared_data / "dicom"
    segmentation.require_source(case(folder / "mr_hippocrop_Study1", kind="dicom"))
    with pytest.raises(DataError, match="slices missing or unevenly apart"):
        segmentation.require_source(case(folder / "ct_nonuniform_4slices", kind="dicom"))
    with pytest.raises(DataError, match="has no SOP class UID, so that no DICOM segmentation can refer to it"):
        segmentation.require_source(case(folder / "ct_body_20slices", kind="dicom"))
