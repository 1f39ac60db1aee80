import pytest
import torch

from medmamba.errors import ConfigError
from medmamba.scan import choose, explain


def test_the_default_is_said_with_its_reason():
    assert choose(torch.device("cpu"), torch.float32).name in explain("cpu")
    assert "(" in explain("cpu")


def test_the_variable_overrides(monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", "reference")
    assert choose(torch.device("cpu"), torch.float32).name == "reference"


def test_an_unknown_path_lists_the_known_ones(monkeypatch):
    monkeypatch.setenv("MEDMAMBA_SCAN", "warp")
    with pytest.raises(ConfigError, match=r"'warp'.*chunked, reference"):
        choose(torch.device("cpu"), torch.float32)
