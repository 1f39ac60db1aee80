import pytest
import torch

from medmamba.bundle.plans import check_class, check_plans, count_layers
from medmamba.errors import BundleError
from medmamba.networks import infos
from medmamba.nnunet import presets
from medmamba.nnunet.plans import adapt, resolve
from medmamba.nnunet.recipe import make_network
from tests.nnunet import plans_by_hand

PRESETS = [(info.name, name) for info in infos() if info.task != "registration" for name in presets.names(info.name)]


@pytest.mark.parametrize(("network", "preset"), PRESETS)
def test_what_we_train_is_taken(network: str, preset: str) -> None:
    """The lists and limits are wide enough for every network and preset of ours."""
    plans = plans_by_hand.plans()
    whole = resolve(plans, "3d_fullres")
    whole.update(patch_size=[64, 64, 64], median_image_size_in_voxels=[64.0] * 3)
    adapted = adapt({**plans, "configurations": {"3d_fullres": whole}}, network, preset)
    check_plans(adapted, "3d_fullres")
    with torch.device("meta"):
        made = make_network(adapted, plans_by_hand.dataset(), "3d_fullres", None)
    arguments = adapted["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    assert count_layers(arguments) <= len(made.state_dict())


@pytest.mark.parametrize("network", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("dims", [2, 3])
def test_what_nnunet_trains_is_taken(network: str, dims: int) -> None:
    content = plans_by_hand.configuration(dims, architecture=plans_by_hand.architecture(dims, network))
    plans = plans_by_hand.plans(configurations={"own": content})
    check_plans(plans, "own")
    assert count_layers(content["architecture"]["arch_kwargs"]) > 5


@pytest.mark.parametrize(
    "path",
    [
        "dynamic_network_architectures.architectures.unet.np.load",
        "medmamba.networks.registry.importlib.import_module",
        "dynamic_network_architectures.architectures.unet.PlainConvUNet.__class__",
        "medmamba.networks.umamba.UMambaBot\n",
        "",
        None,
        ["medmamba.networks.umamba.UMambaBot"],
    ],
)
def test_what_hides_behind_a_good_name_is_not(path: object) -> None:
    with pytest.raises(BundleError, match="nothing was run"):
        check_class(path)
