"""The trained models of a batch."""

from typing import Any

import pytest

from medmamba.errors import DataError
from medmamba.register import trained
from medmamba.register.pair import auto_seg
from medmamba.register.pair.models import Models
from medmamba.register.pair.options import Options


class Model:
    """Stands for whatever was asked for."""

    def __init__(self, *asked: Any) -> None:
        self.asked, self.digest = asked, f"sha256:{asked[0]}"


def test_without_models() -> None:
    assert Models.load(Options()) == Models() and Models().digests == {}


def test_each_is_loaded_by_its_own_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained, "load_model", Model)
    monkeypatch.setattr(auto_seg, "Segmenter", Model)
    found: Any = Models.load(Options(model="a", auto_seg="b", device="cpu"))
    assert found.network.asked == ("a",) and found.segmenter.asked == ("b", "cpu")
    assert found.digests == {"model": "sha256:a", "auto_seg": "sha256:b"}
    assert Models.load(Options(auto_seg="b")).digests == {"auto_seg": "sha256:b"}


@pytest.mark.parametrize("option", ["model", "auto_seg"])
def test_what_is_not_there_is_named(option: str) -> None:
    with pytest.raises(DataError, match="There is no model nowhere"):
        Models.load(Options(**{option: "nowhere"}))  # type: ignore[arg-type]
