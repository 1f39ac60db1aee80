"""medmamba: Mamba networks for medical image segmentation and registration.

A plug-in of stock nnU-Net v2. Importing this package is cheap: torch is loaded by the sub-packages that need it.
"""

from pathlib import Path as _Path

from ._version import __version__

# In a checkout the folders cli/, datasets/ and plans/ lie beside this package, in an installation inside it. With the
# parent folder on the package's path `medmamba.cli` is found in both cases.
if not (_Path(__file__).parent / "cli").is_dir():
    __path__.append(str(_Path(__file__).parent.parent))

__all__ = ["__version__"]
