"""Registration: affine, discrete search or network, instance optimisation; one transform, its inverse, a report.

>>> from medmamba.register import Options, register
>>> register("fixed.nii.gz", "moving.nii.gz", "result", Options(affine="rigid")).exit_code  # doctest: +SKIP
0
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pair.options import Inputs, Options
    from .pair.run import Outcome, register

__all__ = ["Inputs", "Options", "Outcome", "register"]


def __getattr__(name: str) -> Any:
    """The names above, loaded when they are asked for: the parts of this package are used without them, too."""
    if name in ("Inputs", "Options"):
        from .pair import options

        return getattr(options, name)
    if name in ("Outcome", "register"):
        from .pair import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
