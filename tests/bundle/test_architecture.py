import tracemalloc
from copy import deepcopy

import pytest
import torch

from medmamba.bundle.architecture import build, build_registration, failures
from medmamba.errors import BundleError, ConfigError
from medmamba.networks import create
from tests.nnunet import plans_by_hand


def test_a_network_that_its_weights_cannot_fill_takes_no_memory() -> None:
    plans = plans_by_hand.plans()
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["features_per_stage"] = [4096, 8192, 8192]  # 30 GB
    tracemalloc.start()
    with pytest.raises(BundleError, match="parameters, and its weights have 1000 bytes"):
        build(plans, plans_by_hand.dataset(), "3d_fullres", 100, 1000)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_arguments_that_fit_no_network() -> None:
    plans = deepcopy(plans_by_hand.plans())
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["colour"] = "blue"
    with pytest.raises(BundleError, match="describes a network that cannot be built"):
        build(plans, plans_by_hand.dataset(), "3d_fullres", 100, 1 << 30)


def test_registration() -> None:
    small = {"embed_dim": 8, "stages": 2, "reg_head_chan": 4}
    state = create("mambamorph", input_channels=1, **small).state_dict()
    path = "medmamba.networks.mambamorph.MambaMorph"
    assert list(build_registration(path, small, state).state_dict()) == list(state)
    for other in ("medmamba.networks.segmamba.SegMamba", "os.system"):
        with pytest.raises(BundleError, match="as its registration network"):
            build_registration(other, small, state)
    for wrong, sentence in (
        ({"embed_dim": 8192}, "parameters, and its weights"),
        ({"embed_dim": "8"}, "cannot be built"),
        ({"stages": 10**6}, "numbers above"),
        ({"stages": 60000}, "more layers than its weights have tensors"),
        ({"path": "/etc/passwd"}, "cannot be built"),
    ):
        with pytest.raises(BundleError, match=sentence):
            build_registration(path, {**small, **wrong}, state)


def test_what_is_not_about_the_content_passes() -> None:
    with pytest.raises(BundleError, match="is wrong: Not so"), failures("is wrong"):
        raise ConfigError("Not so.")
    with pytest.raises(KeyboardInterrupt), failures("is wrong"):
        raise KeyboardInterrupt
    with failures("is wrong"):
        torch.zeros(1)
