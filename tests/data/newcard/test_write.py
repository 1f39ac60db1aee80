import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.data.cards import Card, cards, read_card
from medmamba.data.folders import Folders
from medmamba.data.newcard.layout import guess
from medmamba.data.newcard.write import write_card
from medmamba.data.prepare.run import Prepared, prepare
from medmamba.errors import ConfigError, DataError
from medmamba.nnunet.registration.pairing import read_pairing


def volume(path: Path, values: Any = (0, 1, 2), shape: tuple[int, ...] = (4, 5, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.resize(np.array(values, np.int16), shape)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(path))


def picture(path: Path, values: Any = (0, 255), channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.resize(np.array(values, np.uint8), (6, 7, channels)).squeeze()
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=channels > 1), str(path))


def made(tmp_path: Path, source: str = "in", **options: Any) -> tuple[Card, Prepared]:
    """The card of a folder, and what `prepare` makes of it."""
    places = Folders(tmp_path / "raw", tmp_path / "preprocessed", tmp_path / "results")
    card = read_card(write_card(tmp_path / source, places, out=tmp_path / "Mine.toml", **options))
    return card, prepare(card, tmp_path / source, places.raw)


def test_a_folder_a_case(tmp_path: Path) -> None:
    for case in ("P1", "P22", "TCGA-x"):
        for end in ("t1", "flair"):
            volume(tmp_path / "in" / "cohort" / case / f"{case}_{end}.nii.gz", range(100))
        volume(tmp_path / "in" / "cohort" / case / f"{case}_seg.nii.gz", (0, 1, 4))
    (tmp_path / "in" / "notes.txt").write_text("x")
    card, done = made(tmp_path)
    assert card.layout[0].images == ("cohort/{case}/{case}_flair.nii.gz", "cohort/{case}/{case}_t1.nii.gz")
    assert card.channels == ("flair", "t1") and card.raw_labels == {"background": 0, "label1": 1, "label4": 4}
    assert done.training == 3 and done.extra == ["notes.txt"]
    assert set(card.sure.values()) == {"unverified"} and 800 <= card.id not in {card.id for card in cards().values()}


def test_masks_in_a_folder_of_each_case(tmp_path: Path) -> None:
    for case in ("s1", "s2", "s3"):
        volume(tmp_path / "in" / case / "ct.nii.gz", (-1000, 30))
        for organ in ("liver", "aorta"):
            volume(tmp_path / "in" / case / "segmentations" / f"{organ}.nii.gz", (0, 1))
    card, done = made(tmp_path)
    assert card.layout[0].label == ("{case}/segmentations/{label}.nii.gz",) and card.channels == ("CT",)
    assert card.labels == {"background": 0, "aorta": 1, "liver": 2} and done.training == 3


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a{}.nii.gz", "labels/a{}.nii.gz"),
        ("img/img{}.nii.gz", "label/label{}.nii.gz"),
        ("ct/scan_{}.mha", "masks/scan_{}_gt.mha"),
        ("{}.nii.gz", "{}_seg.nii.gz"),
        ("all/{}_0000.nii.gz", "all/{}_mask.nii.gz"),
    ],
)
def test_twins(tmp_path: Path, image: str, label: str) -> None:
    for case in ("001", "002", "013"):
        volume(tmp_path / "in" / image.format(case), range(50))
        volume(tmp_path / "in" / label.format(case))
    _, done = made(tmp_path)
    assert (done.training, done.incomplete, done.extra) == (3, {}, [])


def test_decathlon(tmp_path: Path) -> None:
    for case in ("heart_01", "heart_02", "heart_03"):
        image = sitk.JoinSeries([sitk.GetImageFromArray(np.full((3, 4, 5), t, np.float32)) for t in range(2)])
        for folder in ("imagesTr", "labelsTr", "imagesTs"):
            (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(tmp_path / "in" / "imagesTr" / f"{case}.nii.gz"))
        volume(tmp_path / "in" / "labelsTr" / f"{case}.nii.gz", (0, 1), (3, 4, 5))
    shutil.copy(tmp_path / "in/imagesTr/heart_01.nii.gz", tmp_path / "in/imagesTs/heart_04.nii.gz")
    said = {"modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "atrium"}, "licence": "CC0"}
    (tmp_path / "in" / "dataset.json").write_text(json.dumps(said))
    card, done = made(tmp_path)
    assert (card.channels, card.labels, card.licence) == (("T2", "ADC"), {"background": 0, "atrium": 1}, "CC0")
    assert card.layout[0].kind == "time" and done.training == 3 and done.counts["test"] == (1, 1)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_2d_twins(tmp_path: Path, ending: str) -> None:
    for case in ("x_1", "x_2", "x_3"):
        picture(tmp_path / "in" / "images" / f"{case}{ending}", range(256), 3)
        picture(tmp_path / "in" / "masks" / f"{case}{ending}", 255)
    card, done = made(tmp_path)
    assert card.file_ending == ".png" and card.channels == ("R", "G", "B") and card.layout[0].kind == "rgb"
    assert card.layout[0].label_kind == "binary" and card.layout[0].threshold == (127 if ending == ".jpg" else 0)
    assert done.training == 3 and done.converted == 6


def test_clips(tmp_path: Path) -> None:
    for clip in ("walk", "run"):
        for frame in range(9, 12):
            picture(tmp_path / "in" / clip / "frames" / f"{frame}.jpg", range(256), 3)
            picture(tmp_path / "in" / clip / "masks" / f"{frame}.png", (0, 255))
    card, done = made(tmp_path)
    assert card.layout[0].images == ("{case}/frames/{frame}.jpg",) and card.layout[0].kind == "clip"
    assert card.task == "video segmentation" and (done.training, done.extra) == (2, [])


def test_real_nnunet_raw_and_regions(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "in").symlink_to(shared_data / "Dataset004_Hippocampus")
    card, done = made(tmp_path)
    assert (card.channels, card.labels) == (("MRI",), {"background": 0, "Anterior": 1, "Posterior": 2})
    assert (card.cases.training, card.cases.test, card.spacing) == (60, 20, (1, 1, 1))
    assert done.training == 60 and done.counts["test"] == (20, 20) and done.extra == ["cases.csv"]
    places = Folders(tmp_path, tmp_path, tmp_path)
    tiny = write_card(shared_data / "Dataset137_BraTSTiny", places, out=tmp_path / "T.toml")
    assert read_card(tiny).regions_class_order == (1, 2, 3) and read_card(tiny).regions["tumor core"] == (2, 3)


def test_real_case_folders(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "in").symlink_to(shared_data / "brats_native")
    card, done = made(tmp_path)
    assert card.channels == ("t1c", "t1n", "t2f", "t2w") and card.labels["label3"] == 3 and done.training == 2


def test_what_is_no_dataset(tmp_path: Path) -> None:
    volume(tmp_path / "in" / "images" / "a.nii.gz")
    places = Folders(tmp_path, tmp_path, tmp_path)
    with pytest.raises(DataError, match="no label was found"):
        write_card(tmp_path / "in", places, out=tmp_path / "x.toml")
    with pytest.raises(DataError, match="no image"):
        guess(["a.txt", "b/c.csv"])
    with pytest.raises(DataError, match="is no folder"):
        write_card(tmp_path / "nowhere", places)
    with pytest.raises(ConfigError, match=r"Other\.toml is no place"):
        write_card(tmp_path / "in", places, name="Mine", out=tmp_path / "Other.toml")
    volume(tmp_path / "in" / "labels" / "a.nii.gz")
    (tmp_path / "there.toml").touch()
    with pytest.raises(DataError, match="there already"):
        write_card(tmp_path / "in", places, out=tmp_path / "there.toml")
    sitk.WriteImage(sitk.GetImageFromArray(np.full((3, 3, 3), 0.5)), str(tmp_path / "in" / "labels" / "a.nii.gz"))
    with pytest.raises(DataError, match="holds fractions"):
        write_card(tmp_path / "in", places, out=tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("image", "channels"),
    [
        ("{}.nii.gz", ["image"]),
        ("scans/p{}_0000.nii.gz", ["image"]),
        ("{0}/{0}_t{1}.nii.gz", ["t1", "t2"]),
        ("imagesTr/{}_000{}.nii.gz", ["0000", "0001"]),
    ],
)
def test_images_alone_become_a_dataset_for_registration(tmp_path: Path, image: str, channels: list[str]) -> None:
    dark, bright = range(10), range(100, 120)
    for case in ("01", "02", "13"):
        for channel in range(len(channels)):
            volume(tmp_path / "in" / image.format(case, channel + ("t1" in channels)), (*dark, *bright))
    card, done = made(tmp_path, images_only=True)
    assert card.task == "registration" and list(card.channels) == channels
    assert (done.training, done.incomplete, done.extra) == (3, {}, [])
    content = json.loads((done.folder / "dataset.json").read_text())
    assert read_pairing(content).labels == {}
    assert read_pairing(content).kind == ("inter" if len(channels) == 1 else "intra")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(next((done.folder / "labelsTr").iterdir()))))
    seen = np.resize(np.array([*[0] * len(dark), *[1] * len(bright)]), labels.shape)
    assert (labels == seen).all()


def test_images_alone_leave_labels_and_test_images_apart(tmp_path: Path) -> None:
    for case in ("a1", "a2"):
        volume(tmp_path / "in" / "imagesTr" / f"{case}_0000.nii.gz", (-1000, 40))
        volume(tmp_path / "in" / "labelsTr" / f"{case}.nii.gz")
    for case in ("b1", "b2", "b3"):
        volume(tmp_path / "in" / "imagesTs" / f"{case}_0000.nii.gz", (-1000, 40))
    card, done = made(tmp_path, images_only=True)
    assert (done.training, dict(done.counts)) == (2, {"training": (2, 2), "test": (3, 3)})
    assert card.channels == ("CT",) and card.layout[0].threshold == -500


@pytest.mark.parametrize("name", ["x.png", "labels/x.nii.gz"])
def test_what_registration_cannot_be_trained_on_is_refused(tmp_path: Path, name: str) -> None:
    (picture if name.endswith("png") else volume)(tmp_path / "in" / name)
    with pytest.raises(DataError, match=r"no 3-D volume|labels by their names"):
        made(tmp_path, images_only=True)
