"""Take away what an image does not need at run time, and compile the rest: to be run by the environment's own Python.

The image is read-only and started for every run, so the bytecode has to be there, and is trusted.
"""

import compileall
import py_compile
import shutil
import sysconfig
from pathlib import Path

PACKAGES = Path(sysconfig.get_paths()["purelib"])
TESTS = ("tests", "test")
"""Folders of these names go. No module outside such folders imports from them when it is imported."""
WITHOUT = (
    "torch/include",  # for those who compile against torch
    "torch/share",
    "torch/bin/test_*",
    "torch/bin/*Test",
    "torch/bin/protoc*",
    "torch/lib/libshm_windows",
    "torch/lib/lib*test*.so",
    "blosc2/include",
    "blosc2/lib/*.a",
    "numpy/_core/include",
    "sklearn/datasets/data",
    "sklearn/datasets/images",
    "pydicom/data/test_files",
    "skimage/data",
)


def main() -> None:
    """Say how much went."""
    before = size(PACKAGES)
    for folder in sorted(path for path in PACKAGES.rglob("*") if path.is_dir() and path.name in TESTS):
        shutil.rmtree(folder, ignore_errors=True)  # one may lie in another that is gone
    for pattern in WITHOUT:
        for path in PACKAGES.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    slim = size(PACKAGES)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(PACKAGES, quiet=2, force=True, invalidation_mode=mode)
    print(f"packages: {before >> 20} MiB, without tests and headers {slim >> 20}, compiled {size(PACKAGES) >> 20}")


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    main()
