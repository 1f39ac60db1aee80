"""What the original computes."""

import pytest
import torch
from torch import Tensor

from tests.reference_data import arrays


@pytest.fixture(scope="session")
def ops() -> dict[str, Tensor]:
    """Its inputs, with an axis for the batch."""
    return {k: torch.from_numpy(v)[None] for k, v in arrays("mambamorph/golden_ops.npz").items() if v.ndim}


@pytest.fixture(scope="session")
def values() -> dict[str, float]:
    """Its losses."""
    return {k: float(v) for k, v in arrays("mambamorph/golden_ops.npz").items() if not v.ndim}
