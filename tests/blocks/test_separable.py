import torch
from scipy.ndimage import gaussian_filter

from medmamba.blocks.separable import along_axes, smooth


def _picture(*shape: int) -> torch.Tensor:
    return torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_matrices_work_along_their_own_axis() -> None:
    picture = _picture(5, 6, 7)
    random = torch.Generator().manual_seed(1)
    matrices = [
        torch.rand(new, old, generator=random, dtype=torch.float64)
        for new, old in zip((4, 5, 6), picture.shape[2:], strict=True)
    ]
    assert torch.allclose(along_axes(picture, matrices), torch.einsum("bcxyz,ix,jy,kz->bcijk", picture, *matrices))


def test_smoothing_is_scipys() -> None:
    picture = _picture(20, 24, 18)
    for sigma in ((1.0, 1.5, 0.0), (2.0, 2.0, 2.0)):
        expected = gaussian_filter(picture.numpy(), (0, 0, *sigma), mode="nearest", truncate=3)
        assert abs(smooth(picture, sigma).numpy() - expected).max() < 1e-12


def test_smoothing_works_on_flat_pictures_and_keeps_constants() -> None:
    picture = _picture(9, 1)
    expected = gaussian_filter(picture.numpy(), (0, 0, 2, 2), mode="nearest", truncate=3)
    assert abs(smooth(picture, (2, 2)).numpy() - expected).max() < 1e-12
    assert torch.allclose(smooth(torch.ones(1, 2, 4, 5, 6), [2.0] * 3), torch.ones(1))
