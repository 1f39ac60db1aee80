"""Images for the tests of similarities."""

import torch
from torch import Tensor


def blobs(seed: int = 0, size: tuple[int, int, int] = (14, 15, 16)) -> Tensor:
    """A smooth image in 0..1, float64."""
    noise = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    smooth = torch.nn.functional.avg_pool3d(noise, 5, stride=1, padding=2)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())
