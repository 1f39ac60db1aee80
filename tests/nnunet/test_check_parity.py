"""What nnU-Net's own integrity check refuses, ours refuses too."""

import contextlib
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from nnunetv2.experiment_planning import verify_dataset_integrity as stock
from nnunetv2.utilities import utils

from medmamba.data.check.run import check
from tests.data import bad


class _Pool:
    """nnU-Net's pools, without processes."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None: ...

    def starmap(self, work: Callable[..., Any], jobs: Iterable[tuple[Any, ...]]) -> list[Any]:
        return [work(*job) for job in jobs]


@pytest.fixture
def accepts(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], bool]:
    """Whether nnU-Net's own check accepts a folder."""
    monkeypatch.setattr(stock.multiprocessing, "get_context", lambda _: type("context", (), {"Pool": _Pool}))
    monkeypatch.setattr(utils, "Pool", _Pool)

    def ask(folder: Path) -> bool:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                stock.verify_dataset_integrity(str(folder), 1)
            except Exception:  # it raises whatever happens to come along
                return False
            return True

    return ask


def test_a_sound_dataset_is_sound_to_both(accepts: Callable[[Path], bool], tmp_path: Path) -> None:
    folder = bad.write_sound(tmp_path / "Dataset950_Sound")
    assert accepts(folder) and not check(folder, 0).findings


@pytest.mark.parametrize("name", bad.BAD)
@pytest.mark.filterwarnings("ignore")
def test_what_stock_refuses_is_an_error(accepts: Callable[[Path], bool], tmp_path: Path, name: str) -> None:
    folder = bad.write_sound(tmp_path / "Dataset950_Sound")
    bad.BAD[name][1](folder)
    assert accepts(folder) or check(folder, 0, test=False).errors
