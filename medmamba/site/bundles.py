"""Which bundle a container runs: the first that is found, checked to its last byte before anything else is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BundleError, MedMambaError

if TYPE_CHECKING:
    from ..predict.recipe import LoadedModel

PLACES = (
    "/opt/medmamba/bundle",
    "/model",
    "/opt/ml/model",
    "/mlcommons/volumes/additional_files",
    "/mlcube_io1",
)
"""Where a bundle is looked for, in this order, when none is named."""
_MANIFEST = "MANIFEST.json"


def find(named: Path | None, root: Path) -> Path:
    """The bundle that is named, else the first in one of the places below `root`. BundleError when there is none.

    A place is a bundle's folder itself, or it holds exactly one: a folder or a .tar.
    """
    for place in [named] if named is not None else _places(root):
        if found := bundle_in(place):
            return found
    raise BundleError("There is no bundle in any of its places.", "Mount one at /model, or give --bundle.")


def is_there(root: Path) -> bool:
    """Whether one of the places below `root` has a bundle."""
    return any(map(bundle_in, _places(root)))


def _places(root: Path) -> list[Path]:
    return [root / one.lstrip("/") for one in PLACES]


def bundle_in(place: Path) -> Path | None:
    """The bundle that a place is or holds; None where it holds none or several."""
    if place.is_file() and place.suffix == ".tar":
        return place
    if (place / _MANIFEST).is_file():
        return place
    try:
        entries = sorted(place.iterdir())
    except OSError:
        return None
    inside = [one for one in entries if one.suffix == ".tar" or (one / _MANIFEST).is_file()]
    return inside[0] if len(inside) == 1 else None


def load(path: Path, expect: str | None = None, folds: Sequence[int | str] | None = None) -> "LoadedModel":
    """The segmentation model in a bundle. Raises BundleError for any that cannot be used.

    expect: "sha256:..." that it must have; ConfigError for text that is no digest.
    """
    from ..bundle import load as checked
    from ..bundle.opened import as_digest

    wanted = None if expect is None else as_digest(expect)
    try:
        return checked(path, wanted, folds)
    except BundleError:
        raise
    except (MedMambaError, OSError) as error:
        raise BundleError("The bundle cannot be used.", "Give one of a segmentation network.") from error
