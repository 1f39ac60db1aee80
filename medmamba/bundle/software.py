"""The versions that a bundle notes."""

from importlib.metadata import PackageNotFoundError, version

from .._version import __version__


def versions() -> dict[str, str]:
    """Of medmamba and what it computes with; what is not installed is left out."""
    found = {"medmamba": __version__}
    for package in ("torch", "nnunetv2", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
