"""Pickles are data here, never programs."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medmamba.errors import DataError
from medmamba.nnunet.folds import pickles


@pytest.mark.parametrize(
    "content",
    [
        {"spacing": [1.0, 2.0], "bbox": [(0, 3)], "none": None, "ordered": OrderedDict(a=1)},
        {"single": np.float32(1.5), "count": np.int64(3), "array": np.arange(6.0).reshape(2, 3)},
    ],
)
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_values(content: Any, protocol: int, tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol))
    assert repr(pickles.read(tmp_path / "x.pkl")) == repr(content)


class Attack:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("hacked"),))


@pytest.mark.parametrize("content", [Attack(), [print], {"a": Attack()}, np.array([Attack()], object), len])
def test_anything_else_is_refused(content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="could run code"):
        pickles.read(tmp_path / "x.pkl", pickles.RULES)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2, 3])[:-3], b"\x80\xff"])
def test_damaged_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.pkl is not read"):
        pickles.read(tmp_path / "x.pkl")
    with pytest.raises(DataError, match="does not exist"):
        pickles.read(tmp_path / "y.pkl")
