"""Overlap of soft labels, the loss MambaMorph is trained with."""

from torch import Tensor


def soft_dice(fixed: Tensor, warped: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Minus the mean over samples and labels of ``2 sum(f w) / max(sum(f + w), epsilon)``: -1 at full overlap.

    fixed, warped: (B, L, *spatial), one channel a label that counts (leave the background out), values in 0..1.
    A label that neither side has scores 0, as in the original.
    """
    spatial = list(range(2, fixed.dim()))
    both = 2 * (fixed * warped).sum(spatial)
    return -(both / (fixed + warped).sum(spatial).clamp_min(epsilon)).mean()
