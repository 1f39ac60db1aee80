from pathlib import Path

import pytest
import torch

from medmamba.bundle import originals
from medmamba.errors import ConfigError, DataError
from medmamba.networks import from_upstream, infos


def test_every_original_has_a_place() -> None:
    named = {name for info in infos() for name in info.originals if info.task != "registration"}
    assert named == set(originals._SIZES)
    assert originals.entry_of("LightMUNet").name == "lightm-unet"
    with pytest.raises(ConfigError, match="no original network 'Mamba'"):
        originals.entry_of("Mamba")


def test_numbers_of_channels_are_defaults() -> None:
    assert originals.with_sizes("SegMamba", {}, 4, 3) == {"in_chans": 4, "out_chans": 3}
    assert originals.with_sizes("SegMamba", {"out_chans": 5}, 4, 3) == {"in_chans": 4, "out_chans": 5}
    assert originals.with_sizes("Vivim", {}, 3, 1) == {"out_chans": 1}


def test_a_single_sigmoid_becomes_a_softmax_of_two() -> None:
    small = {
        "feat_size": [8, 8, 8, 8],
        "backbone_kwargs": {"depths": [1] * 4, "num_attention_heads": [1] * 4, "hidden_sizes": [8] * 4},
        "mamba_layers_per_stage": 1,
        "with_edge": True,
    }
    state = originals.segmentation_state("Vivim", from_upstream("Vivim", small))
    assert state["vivim.out.weight"].shape[0] == state["vivim.out.bias"].shape[0] == 2
    assert state["vivim.out.weight"][0].eq(0).all() and state["vivim.out.weight"][1].ne(0).any()
    assert not any("edgeocr" in key for key in state)


def test_a_state_dict_is_what_it_takes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no state dict"):
        originals.converted("SegMamba", {}, torch.zeros(1))
    (tmp_path / "model.safetensors").write_bytes(b"PK\x03\x04" + b"\xff" * 40)
    with pytest.raises(
        DataError, match=r"model\.safetensors is a file of weights that is a zip archive.*could run code"
    ):
        originals.read_weights(tmp_path / "model.safetensors")
