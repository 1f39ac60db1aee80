"""What tests share."""

import locale
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from medmamba.runtime import share_cores

share_cores()  # before any test imports torch: a busy machine must not make the suite many times slower


def _interpret_triton() -> None:
    """Where no GPU is, Triton's own functions become interpreted ones: that is decided when it is first imported."""
    os.environ["TRITON_INTERPRET"] = "1"
    with suppress(ImportError):
        import triton.language  # noqa: F401
    del os.environ["TRITON_INTERPRET"]  # only tests that ask for it have the kernels take CPU tensors


if not Path("/dev/nvidiactl").exists():
    _interpret_triton()


@pytest.fixture(autouse=True)
def _own_locale() -> Iterator[None]:
    """GDCM, which some tests write DICOM with, sets the process to the locale C; the next test is to have its own."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real sample data beside the checkout, where there is some."""
    folder = Path(__file__).parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data with real images beside the checkout")
    return folder


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)])
def kernel_device(request, monkeypatch):
    """Where the Triton kernels run: CPU tensors in Triton's interpreter, or a GPU where there is one (not both)."""
    pytest.importorskip("triton")
    import torch

    if torch.cuda.is_available() != (request.param == "cuda"):
        pytest.skip("no GPU" if request.param == "cuda" else "the GPU runs the compiled kernels")
    if request.param == "interpreter":
        monkeypatch.setenv("TRITON_INTERPRET", "1")  # before the kernels' modules are imported: their functions do that
    return torch.device("cuda" if request.param == "cuda" else "cpu")
