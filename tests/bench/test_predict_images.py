from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from medmamba.bench import predict_images


def test_a_ct_is_a_body_in_air_and_always_the_same() -> None:
    one, same, other = (predict_images.ct((20, 64, 64), seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert one.dtype == np.int16 and one.min() >= -1024 and one.max() <= 3071
    assert (one[:, :3] < -900).all() and 0.3 < (one > -200).mean() < 0.7
    assert (one > 300).any()  # bone


def test_a_brain_is_zero_around_and_differs_between_channels() -> None:
    channels = predict_images.brain((40, 48, 48), 4)
    masks = [image > 0 for image in channels]
    assert len(channels) == 4 and all(np.array_equal(mask, masks[0]) for mask in masks)
    assert not masks[0][:5].any() and 0.1 < masks[0].mean() < 0.3
    assert len({int(image.sum()) for image in channels}) == 4


def test_files_have_size_and_spacing(tmp_path: Path) -> None:
    predict_images.write_ct(tmp_path, (10, 12, 14), (2.0, 1.0, 0.5))
    image = sitk.ReadImage(str(tmp_path / "ct_0000.nii.gz"))
    assert image.GetSize() == (14, 12, 10) and image.GetSpacing() == (0.5, 1.0, 2.0)
    assert nibabel.load(tmp_path / "ct_0000.nii.gz").get_data_dtype() == np.int16
    predict_images.write_brain(tmp_path, (10, 12, 14), (1.0, 1.0, 1.0), 2)
    assert [path.name for path in sorted(tmp_path.glob("brain*"))] == ["brain_0000.nii.gz", "brain_0001.nii.gz"]


def test_small_phantoms_vary_in_size(tmp_path: Path) -> None:
    predict_images.write_phantoms(tmp_path, (36, 50, 36), (1.0, 1.0, 1.0), 4)
    sizes = {sitk.ReadImage(str(file)).GetSize() for file in tmp_path.iterdir()}
    assert len(sizes) > 1 and all(32 <= size <= 54 for one in sizes for size in one)
