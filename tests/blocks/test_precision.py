import torch

from medmamba.blocks.precision import saturate, widened


def test_float16_is_widened_and_its_autocast_switched_off():
    with torch.autocast("cpu", dtype=torch.float16), widened(torch.ones(2, 2, dtype=torch.float16)) as x:
        assert x.dtype == torch.float32
        assert (x @ x).dtype == torch.float32


def test_bfloat16_autocast_stays_on():
    with torch.autocast("cpu", dtype=torch.bfloat16), widened(torch.ones(2, 2)) as x:
        assert (x @ x).dtype == torch.bfloat16


def test_float64_is_left_alone():
    with widened(torch.ones(1, dtype=torch.float64)) as x:
        assert x.dtype == torch.float64


def test_values_are_clamped_only_where_float16_follows():
    large = torch.tensor([1e6])
    assert saturate(large) is large
    with torch.autocast("cpu", dtype=torch.float16):
        assert saturate(large).half().isfinite().all()
