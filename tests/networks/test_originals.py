import pytest
from torch import nn

from medmamba.errors import ConfigError
from medmamba.networks.originals import layer_dims, only, per_stage


def test_one_value_serves_all_stages():
    assert per_stage(2, 3) == [2, 2, 2]
    with pytest.raises(ConfigError, match="Got 2 values"):
        per_stage([1, 2], 3)


@pytest.mark.parametrize("layer", ["Conv3d", "torch.nn.modules.conv.Conv3d", nn.Conv3d])
def test_layers_by_name_or_class(layer):
    assert layer_dims(layer) == 3


def test_a_layer_without_dimensions_is_named():
    with pytest.raises(ConfigError, match="'Linear'"):
        layer_dims("Linear")


def test_arguments_without_effect_are_dropped_and_unknown_ones_named():
    assert only("Net", {"a": 1, "b": 2}, ("a",), ("b",)) == {"a": 1}
    with pytest.raises(ConfigError, match="Net has no argument c"):
        only("Net", {"c": 1}, ("a",), ("b",))
