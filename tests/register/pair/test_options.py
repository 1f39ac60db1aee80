"""Options that do not go together are refused."""

from pathlib import Path

import pytest

from medmamba.errors import ConfigError
from medmamba.register.pair.options import Inputs, Options, require_pairs


def test_the_stages() -> None:
    assert Options().stages == ("search", "io") and Options(model="m").stages == ("net", "io")
    assert Options(deform="none").stages == () and Options(deform="io").stages == ("io",)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"sim": "ssim"}, "--sim 'ssim' is not known"),
        ({"affine": "elastic"}, "--affine 'elastic'"),
        ({"io_iterations": 0}, "--io-iterations 0"),
        ({"reg_weight": 0.0}, "--reg-weight"),
        ({"deform": "net"}, "needs a network"),
        ({"deform": "search", "model": "m"}, "does not use --model"),
        ({"deform": "search", "io_labels": True}, "--io-labels guides"),
        ({"deform": "none", "auto_seg": "m"}, "--auto-seg guides"),
    ],
)
def test_refused(given: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Options(**given)


def test_halves() -> None:
    path = Path("x")
    require_pairs(Inputs(moving_seg=path), Options())
    require_pairs(Inputs(fixed_points=path, moving_points=path), Options(io_labels=True))
    with pytest.raises(ConfigError, match="--fixed-points goes with --moving-points"):
        require_pairs(Inputs(fixed_points=path), Options())
