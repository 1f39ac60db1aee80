"""The CPU engine inside nnU-Net's predictor."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from medmamba.nnunet import fast
from medmamba.nnunet.loop.trainer import EpochReport
from medmamba.predict.predictor import Predictor
from tests.networks.small import build, example


def test_the_engine_predicts_the_same_labels(
    run: tuple[Path, list[EpochReport]], workplace: Path, tmp_path: Path
) -> None:
    image = workplace / "raw/Dataset901_Blobs/imagesTr/c0_0000.nii.gz"
    said: list[str] = []
    maps = []
    for name, use in (("engine", True), ("torch", False)):
        predictor = Predictor(run[0].parent, folds=[0], device="cpu", engine=use, precision="fp32")
        said.append(predictor.description()["engine"])
        files = predictor.segment(image, tmp_path / name)
        maps.append(sitk.GetArrayFromImage(sitk.ReadImage(str(files[0]))))
    assert np.mean(maps[0] == maps[1]) >= 0.9999
    assert "CPU engine" in said[0]
    assert "CPU engine" not in said[1]


def test_one_engine_a_fold() -> None:
    network = build("umamba-bot").eval()
    first = {k: v.clone() for k, v in network.state_dict().items()}
    second = {k: v + 0.1 for k, v in first.items()}
    x = example("umamba-bot")
    held = fast.EngineNetwork(network, torch.float32)
    outputs = []
    for weights in (first, second, first):
        held.load_state_dict(weights)
        outputs.append(held(x))
    assert len(held._engines) == 2
    assert torch.equal(outputs[0], outputs[2])
    network.load_state_dict(second)
    torch.testing.assert_close(outputs[1], network(x), rtol=1e-3, atol=1e-4)
