"""What a registration is judged by, each measure under the name of its definition."""

from .consistency import Residual, inverse_consistency_mm
from .folding import field_figures, folding_percent, jacobian_determinant, sdlogj, sdlogj_l2r
from .landmarks import MapsPoints, tre_l2r_mm, tre_mm
from .overlap import dice_l2r_per_label, dice_per_label, foreground
from .statistics import DRAWS, Difference, Interval, bootstrap_interval, paired_difference, quantiles
from .surface import hd95, surface_distances

__all__ = [
    "DRAWS",
    "Difference",
    "Interval",
    "MapsPoints",
    "Residual",
    "bootstrap_interval",
    "dice_l2r_per_label",
    "dice_per_label",
    "field_figures",
    "folding_percent",
    "foreground",
    "hd95",
    "inverse_consistency_mm",
    "jacobian_determinant",
    "paired_difference",
    "quantiles",
    "sdlogj",
    "sdlogj_l2r",
    "surface_distances",
    "tre_l2r_mm",
    "tre_mm",
]
