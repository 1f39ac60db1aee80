"""The linear part of a registration."""

from .optimisation import KINDS, AffineResult, Kind, align
from .starts import INITS, Init

__all__ = ["INITS", "KINDS", "AffineResult", "Init", "Kind", "align"]
