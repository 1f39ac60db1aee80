import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from medmamba.errors import SetupError
from medmamba.predict.batch.cluster import Shares, cluster, divide

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SetupError, match=r"not installed\. pip install 'medmamba\[ray\]'"), cluster("auto"):
        pass


@needs_ray
def test_nobody_answers() -> None:
    with pytest.raises(SetupError, match=r"No Ray cluster answers at 127\.0\.0\.1:9"), cluster("127.0.0.1:9"):
        pass


@pytest.mark.parametrize(
    ("nodes", "jobs", "device", "wanted"),
    [
        ([{"CPU": 8}], None, "auto", Shares(1, 8, 0)),
        ([{"CPU": 8}], 3, "auto", Shares(3, 2, 0)),
        ([{"CPU": 8}, {"CPU": 4}], None, "auto", Shares(2, 4, 0)),
        ([{"CPU": 2}], 5, "cpu", Shares(5, 0.4, 0)),
        ([{"CPU": 16, "GPU": 4}, {"CPU": 8}], 3, "auto", Shares(4, 4, 1)),
        ([{"CPU": 16, "GPU": 4}], 2, "cpu", Shares(2, 8, 0)),
    ],
)
def test_shares(nodes: list[dict[str, float]], jobs: int | None, device: str, wanted: Shares) -> None:
    ray = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": node} for node in nodes])
    assert divide(ray, jobs, device) == wanted
