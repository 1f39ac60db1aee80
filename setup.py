"""The optional compiled library; everything else is in pyproject.toml.

It has a plain C interface and is loaded with ctypes: no Python and no torch headers, so one build fits every Python and
torch. Where it cannot be built the installation goes on without it, and medmamba runs its plain torch paths.
"""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("medmamba/kernels/csrc")
FLAGS = [
    "-O3", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-fvisibility=hidden", "-pthread",
    "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-Wno-psabi",
]  # fmt: skip

library = Extension(
    "medmamba.kernels._cpu",
    sources=sorted(path.as_posix() for path in SOURCES.glob("*.cpp")),
    depends=sorted(path.as_posix() for pattern in ("*.h", "*.inl") for path in SOURCES.glob(pattern)),
    language="c++",
    extra_compile_args=FLAGS,
    extra_link_args=["-pthread", *(["-Wl,--as-needed"] if sys.platform == "linux" else [])],
    py_limited_api=True,
    optional=True,
)


class BuildLibrary(build_ext):
    """Without the symbol that a Python module would export: this is a library, not a module."""

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []


setup(
    ext_modules=[library],
    cmdclass={"build_ext": BuildLibrary},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
