import pytest

from medmamba.nnunet.watching.foreground import foreground_names
from tests.nnunet.fake_trainer import PLAIN, REGIONS, label_manager


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (PLAIN, ("shell", "core")),
        ({"late": 2, "background": 0, "early": 1}, ("early", "late")),  # nnU-Net scores labels by value
        ({"background": 0, "organ": [1], "ignore": 2}, ("organ",)),
        (REGIONS, ("whole", "core")),
    ],
)
def test_names_in_the_order_of_the_scores(labels: dict, names: tuple) -> None:
    assert foreground_names(label_manager(labels)) == names
