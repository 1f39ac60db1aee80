import pickle
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient

from medmamba.predict.arrays.preprocess import Place
from medmamba.predict.files.images import read
from medmamba.predict.files.properties import write_properties
from medmamba.predict.recipe import Reader
from tests.predict.made_images import ORIENTATIONS, affine, case, itk_image, recipe, voxels

STOCK = {
    "itk": SimpleITKIO,
    "itk-ras": SimpleITKIOWithReorient,
    "nibabel": NibabelIO,
    "nibabel-ras": NibabelIOWithReorient,
}


@pytest.mark.parametrize("reader", STOCK)
def test_nnunets_writer_puts_a_label_map_back_by_them(reader: Reader, tmp_path: Path) -> None:
    for axes, signs in ORIENTATIONS[::5]:
        path = tmp_path / "c.nii.gz"
        sitk.WriteImage(itk_image(voxels(), affine(turn=(4, -7, 11), axes=axes, signs=signs)), str(path))
        model = recipe(reader)
        image = read(case(path), model)
        shape = image.data.shape[1:]
        place = Place(image.spacing, shape, shape, tuple((0, size) for size in shape), shape, shape)
        write_properties(tmp_path / "c.pkl", place, image.geometry, model)
        ours = pickle.loads((tmp_path / "c.pkl").read_bytes())
        data, theirs = STOCK[reader]().read_images([str(path)])
        labels = (data[0] > np.median(data)).astype(np.uint8)
        for name, properties in (("ours", ours), ("theirs", theirs)):
            STOCK[reader]().write_seg(labels, str(tmp_path / f"{name}.nii.gz"), properties)
        found, wanted = (sitk.ReadImage(str(tmp_path / f"{name}.nii.gz")) for name in ("ours", "theirs"))
        assert np.array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(wanted))
        for what in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(found, what)() == pytest.approx(getattr(wanted, what)(), abs=1e-4)
