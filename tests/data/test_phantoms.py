import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.data.phantoms import LABELS, phantom, write_dataset
from medmamba.errors import DataError


def test_a_seed_is_a_phantom() -> None:
    one, again, other = phantom(3), phantom(3), phantom(4)
    assert np.array_equal(one.image, again.image) and np.array_equal(one.labels, again.labels)
    assert one.origin == again.origin
    assert not np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("seed", range(12))
def test_every_structure_is_there(seed: int) -> None:
    counts = np.bincount(phantom(seed).labels.ravel(), minlength=len(LABELS))
    assert len(counts) == len(LABELS)
    assert counts.min() > 100


def test_shape_does_not_depend_on_the_grid() -> None:
    coarse, fine = phantom(5), phantom(5, shape=(48, 96, 80), spacing=(1.0, 0.5, 0.5))
    for value in (1, 2, 3):
        volumes = [(p.labels == value).sum() * np.prod(p.spacing) for p in (coarse, fine)]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.1)


def test_geometry_is_anisotropic_oblique_and_shared() -> None:
    image, labels = phantom(1).as_images()
    assert image.GetSpacing() == (1.0, 1.0, 2.0)
    assert np.abs(np.array(image.GetDirection()).reshape(3, 3) - np.eye(3)).max() > 0.02
    assert labels.GetDirection() == image.GetDirection() and labels.GetOrigin() == image.GetOrigin()


def test_intensity_alone_does_not_tell() -> None:
    """The bias field and the noise mix core and capsule: no threshold separates them."""
    found = phantom(2)
    core, capsule = found.image[found.labels == 2], found.image[found.labels == 1]
    assert np.percentile(core, 95) > np.percentile(capsule, 5)


def test_dataset_is_nnunets_raw_layout(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, 900, "Phantoms", training=2, test=1)
    content = json.loads((folder / "dataset.json").read_text())
    assert content["numTraining"] == 2 and content["labels"] == LABELS
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.nii.gz"))
    assert files == [
        "imagesTr/phantom_000_0000.nii.gz",
        "imagesTr/phantom_001_0000.nii.gz",
        "imagesTs/phantom_002_0000.nii.gz",
        "labelsTr/phantom_000.nii.gz",
        "labelsTr/phantom_001.nii.gz",
        "labelsTs/phantom_002.nii.gz",
    ]
    read = sitk.ReadImage(str(folder / files[0]))
    assert np.allclose(read.GetDirection(), phantom(0).direction.ravel(), atol=1e-5)
    with pytest.raises(DataError, match="already"):
        write_dataset(tmp_path, 900, "Phantoms", training=2, test=1)
