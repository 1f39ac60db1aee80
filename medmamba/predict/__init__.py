"""From images to label maps: nnU-Net's mathematics in slabs, within a memory ceiling, and batches that finish.

>>> from medmamba.predict import Predictor
>>> Predictor("model.tar", max_ram="6G").segment("images", "predictions")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    """`Predictor`, loaded when it is asked for: the parts of this package are used without it, too."""
    if name != "Predictor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .predictor import Predictor

    return Predictor
