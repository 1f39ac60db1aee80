import torch

from medmamba.scan import selective_scan_reference


def test_by_hand():
    """One channel, one state: h = exp(-1) h + u, y = h."""
    ones = torch.ones(1, 3, 1, dtype=torch.float64)
    y, last = selective_scan_reference(ones, ones, -torch.ones(1, 1, dtype=torch.float64), ones, ones)
    e = torch.exp(torch.tensor(-1.0, dtype=torch.float64))
    torch.testing.assert_close(y.flatten(), torch.stack([e**0, e + 1, e * (e + 1) + 1]))
    assert last.item() == y[0, -1, 0].item()


def test_the_skip_is_added_before_the_gate():
    zero, one, z = torch.zeros(1, 1, 1), torch.ones(1, 1, 1), torch.full((1, 1, 1), 2.0)
    y, _ = selective_scan_reference(one, zero, -torch.ones(1, 1), one, one, D=torch.tensor([3.0]), z=z)
    assert torch.allclose(y, 3 * torch.nn.functional.silu(z))
