"""Labels of a trained segmentation network."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from medmamba.errors import DataError
from medmamba.nnunet.recipe import make_network
from medmamba.register.images import Volume, read_image
from medmamba.register.pair.auto_seg import Segmenter
from tests.bundle.made import results_folder
from tests.nnunet import plans_by_hand
from tests.predict.made_images import affine
from tests.register.made import noise
from tests.register.made_pairs import save

SHAPE = (15, 18, 13)
REGIONS = {"labels": {"background": 0, "all": [1, 2], "core": [2]}, "regions_class_order": [1, 2]}


def model(folder: Path, spread: float = 3.0, **dataset: Any) -> str:
    """A results folder of one fold of random weights; spread 0: everything is background."""
    plans, content = plans_by_hand.plans(), plans_by_hand.dataset(**dataset)
    torch.manual_seed(0)
    state = make_network(plans, content, "3d_fullres", None).state_dict()
    state = {key: spread * value for key, value in state.items()}
    if not spread:
        last = [key for key in state if "seg_layers" in key and key.endswith("bias")][-1]
        state[last][0] = 1
    return str(results_folder(folder, folds=[0], plans=plans, dataset=content, states=[state]))


def image(folder: Path, seed: int = 0) -> Volume:
    """An oblique, anisotropic image in a file."""
    oblique = affine((0.9, 1.1, 1.3), (12, -20, 33), (1, 0, 2), (1, -1, 1))
    return read_image(save(folder / f"{seed}.nii.gz", (900 * noise(SHAPE, 1.5, seed)).astype(np.int16), oblique))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(model(tmp_path_factory.mktemp("model")), "cpu")


def test_labels_and_shares_lie_on_the_images_voxels(segmenter: Segmenter, tmp_path: Path) -> None:
    volume = image(tmp_path)
    told: list[tuple[int, int]] = []
    found = segmenter(volume, lambda done, total: told.append((done, total)))
    assert found.labels.grid.same_as(volume.grid) and set(np.unique(found.labels.data)) <= {0, 1, 2}
    assert told and told[-1][0] == told[-1][1]
    assert found.shares is not None and len(found.shares) == 2
    shares = np.stack([share.data for share in found.shares])
    assert all(share.grid is found.labels.grid and share.data.dtype == np.float32 for share in found.shares)
    assert shares.min() >= 0 and shares.sum(0).max() <= 1 + 1e-3
    whole = np.concatenate([1 - shares.sum(0, keepdims=True), shares])
    assert (whole.argmax(0) == found.labels.data).mean() > 0.99  # voxel by voxel: axes are not mixed up
    assert np.ptp(shares, axis=(1, 2, 3)).min() > 0.01


def test_the_images_asked_for_last_are_remembered(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def counted(self: Segmenter, path: Path, on_tile: Any) -> Any:
        asked.append(path)
        return object()

    monkeypatch.setattr(Segmenter, "_segment", counted)
    atlas, *others = (image(tmp_path, seed) for seed in (5, 1, 2, 3))
    for other in others:  # one image onto which many are registered
        segmenter(atlas)
        segmenter(other)
    assert [path.name for path in asked] == ["5.nii.gz", "1.nii.gz", "2.nii.gz", "3.nii.gz"]
    segmenter(others[0])  # forgotten
    assert len(asked) == 5 and segmenter(others[0]) is segmenter(others[0])


def test_regions_have_a_share_each(tmp_path: Path) -> None:
    found = Segmenter(model(tmp_path, **REGIONS), "cpu")(image(tmp_path))
    assert found.shares is not None and len(found.shares) == 2
    inside = found.shares[0].data > 0.5
    assert ((found.labels.data > 0) | ~inside)[np.abs(found.shares[0].data - 0.5) > 0.01].all()


def test_an_image_in_which_nothing_is_found(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"finds none of its structures in .*0\.nii\.gz"):
        Segmenter(model(tmp_path, 0.0), "cpu")(image(tmp_path))


def test_an_image_needs_a_file(segmenter: Segmenter, tmp_path: Path) -> None:
    volume = image(tmp_path)
    with pytest.raises(DataError, match="no file"):
        segmenter(Volume(volume.data, volume.grid))


def test_an_image_that_the_model_cannot_take_is_named(segmenter: Segmenter, tmp_path: Path) -> None:
    volume = image(tmp_path, 9)
    assert volume.path is not None
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6, 2), np.int16), np.eye(4)), volume.path)
    with pytest.raises(DataError, match=r"9\.nii\.gz"):
        segmenter(volume)


def test_it_tells_which_model_it_is(segmenter: Segmenter) -> None:
    assert segmenter.digest.startswith("sha256:") and "nnUNetTrainer__nnUNetPlans__3d_fullres" in segmenter.name
