"""Label maps of whole folders beside those of nnU-Net's own command, for models of pictures and of TIFF stacks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from skimage.io import imread, imsave

from medmamba.predict import Predictor
from tests.nnunet import plans_by_hand
from tests.nnunet.results_by_hand import write_results

pytestmark = pytest.mark.slow  # nnU-Net's command takes ten seconds and more to start and to end
COMMAND = Path(sys.executable).with_name("nnUNetv2_predict_from_modelfolder")
Made = tuple[Path, Callable[[Path], NDArray[Any]]]


def smooth(shape: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    """Blocks of 4 voxels: random weights make regions of them, not speckles."""
    coarse = [-(-length // 4) for length in shape]
    values = np.random.default_rng(seed).integers(0, 255, coarse, dtype=np.uint8)
    for axis in range(len(shape)):
        values = values.repeat(4, axis)
    return np.ascontiguousarray(values[tuple(slice(length) for length in shape)])


def pictures(folder: Path) -> Made:
    """Colour pictures for a network of slices, as nnU-Net plans it for them."""
    for number in range(2):
        imsave(folder / f"images/p{number}_0000.png", np.stack([smooth((37 + number, 50), c) for c in range(3)], -1))
    changes = {"normalization_schemes": ["RGBTo01Normalization"] * 3, "spacing": [1.0, 1.0], "patch_size": [24, 32]}
    flat = plans_by_hand.configuration(2, 3, **changes)
    plans = plans_by_hand.plans(3, image_reader_writer="NaturalImage2DIO", configurations={"2d": flat})
    content = plans_by_hand.dataset(3, file_ending=".png", channel_names={str(n): "rgb_to_0_1" for n in range(3)})
    return write_results(folder, "2d", plans=plans, dataset=content, mirror_axes=(0, 1)), imread


def stacks(folder: Path) -> Made:
    """TIFF stacks with their spacing beside them."""
    for number in range(2):
        tifffile.imwrite(folder / f"images/s{number}_0000.tif", smooth((18, 27, 22 + number), number))
        (folder / f"images/s{number}.json").write_text(json.dumps({"spacing": [1.3, 0.7, 0.9]}))
    plans = plans_by_hand.plans(image_reader_writer="Tiff3DIO")
    return write_results(folder, plans=plans, dataset=plans_by_hand.dataset(file_ending=".tif")), tifffile.imread


@pytest.mark.parametrize("make", [pictures, stacks])
def test_a_folder_is_segmented_as_nnunets_command_does(make: Callable[[Path], Made], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    model, read = make(tmp_path)
    given = ["-i", tmp_path / "images", "-o", tmp_path / "stock", "-m", model, "-f", "0", "-device", "cpu"]
    environment = {**os.environ, "nnUNet_raw": "", "nnUNet_preprocessed": "", "nnUNet_results": ""}
    done = subprocess.run(
        [str(COMMAND), *map(str, given), "-npp", "1", "-nps", "1"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    how: dict[str, Any]
    for how in ({"engine": False}, {}):
        ours = Predictor(model, device="cpu", precision="fp32", **how)
        written = ours.segment(tmp_path / "images", tmp_path / f"ours{len(how)}")
        assert len(written) == 2
        for file in written:
            wanted, found = read(tmp_path / "stock" / file.name), read(file)
            assert found.dtype == wanted.dtype and found.shape == wanted.shape and len(np.unique(wanted)) > 1
            assert (found != wanted).sum() <= (0 if how else 1e-4 * wanted.size)
    beside = {file.name for file in (tmp_path / "stock").iterdir()} - {"predict_from_raw_data_args.json"}
    assert beside <= {file.name for file in written[0].parent.iterdir()}
