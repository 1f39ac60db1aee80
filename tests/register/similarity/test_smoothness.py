from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medmamba.register.similarity import bending, diffusion
from tests.reference_data import needs_reference

SPACINGS = st.tuples(*[st.floats(0.3, 6)] * 3)


@needs_reference
@pytest.mark.parametrize(("norm", "factor", "name"), [("l2", 1, "l2"), ("l2", 2, "l2_mult2"), ("l1", 1, "l1")])
def test_diffusion_is_the_originals(
    ops: dict[str, Tensor], values: dict[str, float], norm: Literal["l1", "l2"], factor: int, name: str
) -> None:
    loss = factor * diffusion(ops["velocity"], norm=norm)
    assert loss.item() == pytest.approx(values[f"loss_grad_{name}"], rel=1e-5)


def test_bending_is_blind_to_affine_fields_and_both_to_translation() -> None:
    position = torch.stack(torch.meshgrid(*[torch.arange(8.0, dtype=torch.float64)] * 3, indexing="ij"))[None]
    matrix = torch.rand(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    affine = torch.einsum("ij,bjxyz->bixyz", matrix, position)
    assert bending(affine).item() < 1e-20 < diffusion(affine).item()
    assert diffusion(torch.ones_like(position)).item() == 0


@settings(max_examples=10, deadline=None)
@given(spacing=SPACINGS)
def test_diffusion_in_mm_is_that_of_the_map(spacing: tuple[float, float, float]) -> None:
    """A shear of a given rate, whatever voxels it is sampled with: u_0 [mm] = 0.2 * x_2 [mm]."""
    field = torch.zeros(1, 3, 5, 6, 7, dtype=torch.float64)
    field[:, 0] = 0.2 * torch.arange(7) * spacing[2] / spacing[0]
    assert diffusion(field, spacing).item() == pytest.approx(0.2**2 / 9, rel=1e-6)
    assert diffusion(field, spacing, "l1").item() == pytest.approx(0.2 / 9, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(spacing=SPACINGS)
def test_bending_in_mm_is_that_of_the_map(spacing: tuple[float, float, float]) -> None:
    """u_0 = 0.1 x_1^2 + 0.3 x_1 x_2, all in mm: second derivatives 0.2, and 0.3 mixed, which counts twice."""
    y = torch.arange(6, dtype=torch.float64).view(1, 6, 1) * spacing[1]
    z = torch.arange(7, dtype=torch.float64).view(1, 1, 7) * spacing[2]
    field = torch.zeros(1, 3, 5, 6, 7, dtype=torch.float64)
    field[:, 0] = (0.1 * y**2 + 0.3 * y * z) / spacing[0]
    assert bending(field, spacing).item() == pytest.approx((0.2**2 + 2 * 0.3**2) / 3, rel=1e-6)


def test_a_single_slice_has_no_change_along_its_axis() -> None:
    field = torch.rand(1, 3, 6, 7, 1, generator=torch.Generator().manual_seed(0))
    doubled = field.expand(1, 3, 6, 7, 2)
    assert torch.isclose(diffusion(field), diffusion(doubled)) and diffusion(field).isfinite()
