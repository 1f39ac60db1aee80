import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medmamba.report.cases import Loaded, load
from medmamba.report.find import CaseFiles, look
from medmamba.report.names import Names
from medmamba.report.pictures import draw
from tests.report.made import labels, make, save


def case(folder: Path, name: str) -> Loaded:
    found = load(look(folder / "images", folder / "pred", folder / "ref").of(name), Names())
    assert isinstance(found, Loaded)
    return found


def pixels(panel: object) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(panel.png))))  # type: ignore[attr-defined]


def test_three_planes_in_true_proportions(tmp_path: Path) -> None:
    make(tmp_path)
    found = draw(case(tmp_path, "c"), ("MR",))
    assert [panel.plane for panel in found.panels] == ["axial", "coronal", "sagittal"]
    axial, coronal, sagittal = found.panels
    assert (axial.width, axial.height) == pytest.approx((24, 30))  # 24 x 20 x 16 voxels of 1 x 1.5 x 2 mm
    assert (coronal.width, coronal.height) == pytest.approx((24, 32))
    assert (sagittal.width, sagittal.height) == pytest.approx((30, 32))
    assert pixels(axial).shape == (20, 24) and found.values == (1, 2)
    assert {line.kind for line in axial.outlines} == {"reference", "prediction"}
    assert axial.sides == "RLAP" and axial.bar > 0 and "disagree" in found.sentences[0]


def test_outline_and_image_lie_on_each_other(tmp_path: Path) -> None:
    """The brightest part of the image is the structure, and its outline is around it."""
    size = (12, 40, 50)
    truth = np.zeros(size, np.uint8)
    truth[4:8, 6:11, 30:45] = 1  # to the left (high x in LPS), to the front (low y)
    save(tmp_path / "images" / "a_0000.nii.gz", truth.astype(np.int16) * 1000, (1, 1, 1))
    save(tmp_path / "ref" / "a.nii.gz", truth, (1, 1, 1))
    save(tmp_path / "pred" / "a.nii.gz", truth, (1, 1, 1))
    axial = draw(case(tmp_path, "a")).panels[0]
    rows, columns = np.nonzero(pixels(axial))
    start = axial.outlines[0].path.removeprefix("M").split("l")[0].split()
    assert columns.min() - 0.1 <= float(start[0]) <= columns.max() + 1.1
    assert rows.min() - 0.1 <= float(start[1]) <= rows.max() + 1.1
    assert columns.mean() > pixels(axial).shape[1] / 2 > 0  # the patient's left is on the right of the picture
    assert rows.mean() < pixels(axial).shape[0] / 2  # the front is up


def test_channels(tmp_path: Path) -> None:
    make(tmp_path, ("a",))
    noise = np.random.default_rng(0).normal(0, 1, (16, 20, 24)).astype(np.float32)
    for channel in (0, 2):
        save(tmp_path / "images" / f"a_000{channel}.nii.gz", noise)
    save(tmp_path / "images" / "a_0001.nii.gz", noise + 9 * labels((16, 20, 24)))
    found = draw(case(tmp_path, "a"), ("T1", "T1ce", "T2"))
    assert found.channel == 1 and [one.plane for one in found.others] == ["T1", "T2"]
    assert any("T1ce" in text for text in found.sentences)


def test_without_an_image_the_outlines_stand_on_black(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "images" / "c_0000.nii.gz").unlink()
    found = draw(case(tmp_path, "c"))
    assert not pixels(found.panels[0]).any() and found.panels[0].outlines
    assert "Its image was not found." in found.sentences


def test_pictures_in_colour(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (700, 40, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    mask = np.zeros((700, 40), np.uint8)
    mask[600:650, 5:20] = 1
    Image.fromarray(mask).save(tmp_path / "p.png")
    loaded = load(CaseFiles((tmp_path / "a.png",), tmp_path / "p.png"), Names())
    assert isinstance(loaded, Loaded)
    (panel,) = draw(loaded).panels
    assert panel.plane == "image" and (panel.width, panel.height) == (40, 700) and panel.sides == "" and not panel.bar
    assert pixels(panel).shape == (234, 40, 3)  # averaged down
    assert panel.outlines[0].path.startswith("M")
