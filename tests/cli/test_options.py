import pytest

from medmamba.cli import options
from medmamba.errors import ConfigError


@pytest.mark.parametrize("text", ["40,56,40", "40x56x40", "40, 56, 40"])
def test_sizes(text: str) -> None:
    assert options.sizes(text) == (40, 56, 40)


def test_no_size_is_the_plans() -> None:
    assert options.sizes(None) is None


@pytest.mark.parametrize("text", ["", "40", "0,1,2", "a,b", "1,2,3,4"])
def test_bad_size_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--patch-size"):
        options.sizes(text)
