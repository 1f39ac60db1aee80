"""What a registration is judged by, each measure under the name of its definition."""

from .consistency import Residual, inverse_consistency_mm
from .folding import field_figures, folding_percent, jacobian_determinant, sdlogj, sdlogj_l2r
from .landmarks import MapsPoints, tre_l2r_mm, tre_mm
from .overlap import dice_l2r_per_label, dice_per_label, foreground

__all__ = [
    "MapsPoints",
    "Residual",
    "dice_l2r_per_label",
    "dice_per_label",
    "field_figures",
    "folding_percent",
    "foreground",
    "inverse_consistency_mm",
    "jacobian_determinant",
    "sdlogj",
    "sdlogj_l2r",
    "tre_l2r_mm",
    "tre_mm",
]
