"""As much of a preprocessed dataset as made cross-validations need: plans, split, references."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medmamba.files import write_json
from tests.nnunet.small_runs import PLAIN

CASES = [f"c{number}" for number in range(5)]


def made_dataset(home: Path) -> Path:
    """The folder above nnUNet_raw and the others, with Dataset901_Blobs in its preprocessed part."""
    place = home / "nnUNet_preprocessed" / f"Dataset{PLAIN}_Blobs"
    (place / "data").mkdir(parents=True)
    (place / "gt_segmentations").mkdir()
    content = {"data_identifier": "data", "patch_size": [16, 16, 16], "architecture": {}}
    plans = {
        "dataset_name": place.name,
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "configurations": {"3d_fullres": content},
    }
    write_json(place / "nnUNetPlans.json", plans)
    labels = {"background": 0, "shell": 1, "core": 2}
    write_json(place / "dataset.json", {"labels": labels, "channel_names": {"0": "MRI"}, "file_ending": ".nii.gz"})
    truth = np.zeros((12, 14, 16), np.uint8)
    truth[3:9, 3:10, 3:10], truth[5:7, 5:8, 5:8] = 1, 2
    for case in CASES:
        for name in (f"{case}.pkl", f"{case}.b2nd", f"{case}_seg.b2nd"):
            (place / "data" / name).touch()
        sitk.WriteImage(sitk.GetImageFromArray(truth), str(place / "gt_segmentations" / f"{case}.nii.gz"))
    return home
