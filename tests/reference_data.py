"""The shared reference fixtures: where they are, and the skip where they are not."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"
needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference fixtures ../shared/reference are absent"
)


def load_module(name: str) -> ModuleType:
    """A module of the reference folder by its file name, e.g. `golden`."""
    import sys

    sys.path.insert(0, str(REFERENCE))
    try:
        spec = importlib.util.spec_from_file_location(f"reference_{name}", REFERENCE / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(REFERENCE))
    return module


def golden_cases(network: str | None = None) -> list[Any]:
    """All network fixtures (of one network), empty where the folder is absent."""
    return load_module("golden").cases(REFERENCE, network) if REFERENCE.is_dir() else []


def arrays(relative: str) -> dict[str, np.ndarray]:
    """The arrays of an npz below the reference folder."""
    with np.load(REFERENCE / relative, allow_pickle=False) as z:
        return {k: z[k] for k in z.files}


def tensors(relative: str, dtype: torch.dtype = torch.float64) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(floating arrays as tensors of `dtype`, meta) of an npz below the reference folder."""
    z = arrays(relative)
    meta = json.loads(str(z.pop("meta"))) if "meta" in z else {}
    return {k: torch.from_numpy(v).to(dtype) for k, v in z.items() if v.dtype.kind == "f"}, meta
