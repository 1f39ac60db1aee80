"""Trained models to hand to others: safetensors, JSON and digests; no pickle, no code.

`load` reads one, `packing.export` writes one, `importing` makes one of other people's checkpoints, `verify` checks and
shows them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..predict.recipe import LoadedModel


def load(path: str | Path, expect: str | None = None, folds: Sequence[int | str] | None = None) -> "LoadedModel":
    """The model in a bundle (a folder or a .tar), every byte of it checked before it is used.

    Parameters
    ----------
    expect: "sha256:..." that the manifest must have; it pins every file.
    folds: which to load; None: all numbered ones that are in it, else "all".

    Raises BundleError for a bundle that is damaged, altered or hostile, ConfigError for folds that it does not have
    and for a registration network.
    """
    from .loading import load as run

    return run(Path(path), expect, folds)
