"""How alike two images are, and how smooth a field: differentiable, lower is better."""

from collections.abc import Callable

from torch import Tensor

from .contrastive import contrastive
from .lncc import lncc
from .mind import mind, mind_ssc
from .mse import mse
from .nmi import nmi
from .overlap import soft_dice
from .smoothness import bending, diffusion

BY_NAME: dict[str, Callable[..., Tensor]] = {"lncc": lncc, "mse": mse, "nmi": nmi, "mind": mind}
"""The similarities a user can name: each takes (fixed, warped, mask=None), (B, 1, *spatial) in 0..1."""


def choose(same_modality: bool) -> str:
    """The similarity for a pair that nobody chose one for: the name in `BY_NAME`."""
    return "lncc" if same_modality else "mind"


__all__ = [
    "BY_NAME",
    "bending",
    "choose",
    "contrastive",
    "diffusion",
    "lncc",
    "mind",
    "mind_ssc",
    "mse",
    "nmi",
    "soft_dice",
]
