"""The inference form of the Mamba layer."""

import pytest
import torch

from medmamba.blocks.mixers import MambaMixer
from medmamba.engine.mixer import InferenceMixer
from tests.engine.conftest import lively, relative

DIRECTIONS = ("forward", "reverse", "interslice")


@pytest.mark.parametrize("directions", [DIRECTIONS[:1], DIRECTIONS[:2], DIRECTIONS])
@pytest.mark.parametrize("combine", ["sum", "mean"])
@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("scan", [True, False])
def test_is_the_mixer(directions, combine, folded, scan):
    torch.manual_seed(0)
    mixer = lively(MambaMixer(20, d_state=8, directions=directions, combine=combine, scan=scan))
    x = torch.randn(2, 24, 20)
    with torch.no_grad():
        assert relative(InferenceMixer(mixer, torch.float32, folded)(x, 4), mixer(x, 4)) < 1e-5


def test_without_the_library(no_library):
    mixer = lively(MambaMixer(20, directions=DIRECTIONS))
    x = torch.randn(1, 24, 20)
    with torch.no_grad():
        assert relative(InferenceMixer(mixer, torch.float32, False)(x, 4), mixer(x, 4)) < 1e-5


def test_half_precision_keeps_the_state_in_float32():
    mixer = lively(MambaMixer(16))
    form = InferenceMixer(mixer, torch.bfloat16, True)
    assert {p.dtype for n, p in form.named_parameters() if n in ("A", "D", "step_bias")} == {torch.float32}
    x = torch.randn(1, 200, 16)
    with torch.no_grad():
        assert relative(form(x).float(), mixer(x)) < 2e-2
