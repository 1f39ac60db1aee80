"""Where the data that ships with medmamba lies: dataset cards and network presets."""

from pathlib import Path

from .errors import SetupError

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The folder `name` ("datasets" or "plans"): inside the installed package, else beside it in a checkout.

    Raises SetupError when it is in neither place.
    """
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise SetupError(
        f"The folder {name}/ of medmamba is missing.", "Install medmamba again: pip install --force-reinstall medmamba"
    )
