import base64
import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba.report.cases import Loaded, load
from medmamba.report.find import look
from medmamba.report.names import Names
from medmamba.report.pictures import draw
from medmamba.report.viewing import Viewed, limit_of, viewed
from tests.report.made import SPACING, make, save


def opened(text: str | None) -> nibabel.Nifti1Image:
    assert text is not None
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def view(folder: Path, name: str, limit: int) -> tuple[Loaded, Viewed]:
    loaded = load(look(folder / "images", folder / "pred", folder / "ref").of(name), Names())
    assert isinstance(loaded, Loaded)
    return loaded, viewed(loaded, draw(loaded), (1, 2), limit)


def test_a_small_volume_is_whole(tmp_path: Path) -> None:
    make(tmp_path)
    loaded, found = view(tmp_path, "c", 10**6)
    image, truth = opened(found.image), opened(found.reference)
    assert image.shape == (24, 20, 16) and image.get_data_dtype() == np.uint8 and found.text == ""
    assert np.array_equal(truth.dataobj, loaded.truth) and np.allclose(truth.affine, loaded.base.affine)
    assert np.allclose(image.header.get_zooms(), SPACING)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")


@pytest.mark.parametrize("limit", [200_000, 20_000, 3_000])
def test_a_large_volume_is_cut_and_made_coarser_and_stays_in_its_place(limit: int, tmp_path: Path) -> None:
    size = (40, 90, 100)
    truth = np.zeros(size, np.uint8)
    truth[14:24, 30:50, 60:80] = 2
    for place in ("images/a_0000", "ref/a", "pred/a"):
        save(tmp_path / f"{place}.nii.gz", truth * np.uint8(50 if "images" in place else 1), (1, 1, 2))
    loaded, found = view(tmp_path, "a", limit)
    image, labels = opened(found.image), opened(found.reference)
    assert np.prod(image.shape) <= limit and image.shape == labels.shape
    assert f"{limit:,}" in found.text and "part around" in found.text

    def middle(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
        return affine[:3, :3] @ np.argwhere(voxels).mean(0) + affine[:3, 3]

    edge = max(labels.header.get_zooms())
    there = middle(np.asarray(labels.dataobj) == 2, labels.affine)
    assert np.abs(there - middle(loaded.truth, loaded.base.affine)).max() <= edge / 2
    share = (np.asarray(labels.dataobj) > 0).sum() * np.prod(labels.header.get_zooms())
    assert share == pytest.approx(10 * 20 * 20 * 2, rel=0.5)


def test_limits() -> None:
    assert limit_of(1) == 2_000_000 and limit_of(6) == 700_000 and limit_of(0) == 2_000_000
