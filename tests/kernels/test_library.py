"""The loader of the compiled library: choice of the instruction set, the switch, and what is said without it."""

import subprocess
import sys

import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.kernels import library

needs_library = pytest.mark.skipif(library.load() is None, reason="the compiled library is not built")


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | variables)


@needs_library
def test_the_instruction_set_is_named():
    assert library.isa() in library.LEVELS
    assert library.isa() in library.describe()
    assert library.width() in (4, 8, 16)


@needs_library
def test_another_instruction_set_for_a_while():
    before = library.isa()
    with library.using("portable"):
        assert library.isa() == "portable"
    assert library.isa() == before


@needs_library
def test_the_exponentials_of_this_core_are_counted():
    assert 1e8 < library.exp_rate(0.02) < 1e12


def test_switched_off_it_says_so_and_the_plain_path_runs():
    code = (
        "from medmamba.kernels import library; from medmamba.scan import explain;"
        "print(library.describe()); print(explain('cpu'))"
    )
    done = run(code, MEDMAMBA_KERNELS="off")
    assert "switched off by MEDMAMBA_KERNELS" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1].startswith("chunked")


def test_an_unknown_instruction_set_lists_the_known_ones():
    done = run("from medmamba.kernels import library; library.load()", MEDMAMBA_KERNELS="mmx")
    assert "portable, avx2, avx512" in done.stderr


def test_without_the_file_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(library, "_file", lambda: None)
    assert "compiler" in library._open.__wrapped__()[1]


def test_a_damaged_file_is_no_reason_to_stop(monkeypatch, tmp_path):
    (tmp_path / "_cpu.so").write_bytes(b"not a library")
    monkeypatch.setattr(library, "_file", lambda: tmp_path / "_cpu.so")
    found, reason = library._open.__wrapped__()
    assert found is None
    assert "does not load" in reason


@needs_library
def test_an_instruction_set_that_is_not_there():
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        pytest.skip("this CPU has them all")
    with pytest.raises(ConfigError, match="avx512"), library.using("avx512"):
        pass
