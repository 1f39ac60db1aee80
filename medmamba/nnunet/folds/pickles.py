"""nnU-Net's two kinds of pickle files, read without running anything that is in them."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation

from ...errors import DataError

Names = dict[tuple[str, str], Any]
"""(module, name) in the file -> what it may become."""

_ARRAY, _SCALAR = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
_BUFFER: Any = np.zeros(1).__reduce_ex__(5)[0]
VALUES: Names = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _ARRAY for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _BUFFER for core in ("core", "_core")},
}
"""Plain values need no names; besides them nnU-Net's files hold numpy's numbers and arrays (names of numpy 1 and 2)."""
_FUNCTION = remove_all_but_largest_component_from_segmentation
RULES: Names = {**VALUES, (_FUNCTION.__module__, _FUNCTION.__name__): _FUNCTION.__name__}
"""In postprocessing.pkl also nnU-Net's one function; what is read is its name."""


def read(path: Path, names: Names = VALUES) -> Any:
    """The content of a pickle that holds plain values and `names`. DataError when it holds anything else."""

    class Restricted(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in names:
                raise pickle.UnpicklingError(f"it holds {module}.{name}, which could run code")
            return names[module, name]

    try:
        with path.open("rb") as stream:
            return Restricted(stream).load()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.", "Check the path.") from error
    except Exception as error:  # a damaged pickle raises whatever its last readable instruction leads to
        raise DataError(f"{path} is not read: {error}.", "Only files that nnU-Net or medmamba wrote are.") from error
