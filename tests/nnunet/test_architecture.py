"""Networks of trained models without nnU-Net's search for trainers."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from medmamba.errors import ConfigError
from medmamba.nnunet import architecture, trainers
from medmamba.nnunet.architecture import builds_plans, make_network
from medmamba.nnunet.registration.trainer import RegistrationTrainer
from tests.nnunet import plans_by_hand as made

NAMES = [
    *("nnUNetTrainer", "nnUNetTrainer_1epoch", "nnUNetTrainer_4000epochs", "nnUNetTrainerDA5_10epochs"),
    *("nnUNetTrainerNoMirroring", "nnUNetTrainer_onlyMirror01_DA5", "nnUNetTrainerBN", "nnUNetTrainerAdan1en3"),
    *("nnUNetTrainerNoDeepSupervision", "nnUNetTrainerCELoss_5epochs", "nnUNet_Primus_S_Trainer", "_Primus_L_48_BS1"),
    *("nnUNetTrainer_warmup", "nnUNet_PrimusV3L_Trainer"),
]


@pytest.mark.parametrize("name", NAMES)
def test_which_trainers_leave_the_network_to_the_plans(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nnU-Net imports all of its trainers on the way
        try:
            trainer = recursive_find_trainer_class_by_name(name)
        except (RuntimeError, ImportError) as error:
            if "torchvision" not in str(error):
                raise
            pytest.skip("torchvision does not import here, so nnU-Net's own search of trainers cannot")
    same = trainer.build_network_architecture is nnUNetTrainer.build_network_architecture
    assert builds_plans(name) == same


def test_ours_leave_it_to_the_plans() -> None:
    for trainer in trainers.ALL:
        if issubclass(trainer, RegistrationTrainer):  # its network has no outputs to count
            continue
        assert trainer.build_network_architecture is nnUNetTrainer.build_network_architecture
        assert builds_plans(trainer.__name__)


def test_what_is_not_clear_is_left_to_nnunet(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {
        Path("a.py"): "class A(nnUNetTrainer):\n    pass\nclass Twice(A): pass\nclass Far(b.A): pass\n",
        Path("b.py"): "class B(A):\n    build_network_architecture = own\nclass C(B): pass\nclass Twice(A): pass\n",
        Path("c.py"): "@changed\nclass D(A): pass\nclass E(A, metaclass=M): pass\nclass F: pass\n",
    }
    monkeypatch.setattr(architecture, "_sources", lambda: sources)
    plain = architecture.builds_plans.__wrapped__
    monkeypatch.setattr(architecture, "builds_plans", plain)
    assert plain("A")
    assert not any(plain(name) for name in ("B", "C", "Twice", "Far", "D", "E", "F", "Unknown"))


@pytest.mark.parametrize("kind", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("trainer", ["nnUNetTrainer", None])
@pytest.mark.parametrize("name", ["2d", "3d_cascade_fullres"])
def test_networks_are_nnunets(kind: str, trainer: str | None, name: str) -> None:
    dims = 2 if name == "2d" else 3
    content = made.plans(2)
    content["configurations"]["2d" if dims == 2 else "3d_fullres"]["architecture"] = made.architecture(dims, kind)
    carried = made.architecture(dims, kind)
    network = make_network(content, made.dataset(2), name, trainer)
    channels = 4 if name == "3d_cascade_fullres" else 2
    wanted = get_network_from_plans(
        carried["network_class_name"], carried["arch_kwargs"], carried["_kw_requires_import"], channels, 3,
        deep_supervision=False,
    )  # fmt: skip
    assert type(network) is type(wanted) and not network.training
    network.load_state_dict(wanted.state_dict())
    x = torch.randn(1, channels, *[16] * dims)
    with torch.inference_mode():
        assert torch.equal(network(x), wanted.eval()(x))


def test_a_trainer_with_an_own_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from torch import nn\n"
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class nnUNetTrainerOwn(nnUNetTrainer):\n"
        "    @staticmethod\n"
        "    def build_network_architecture(plans_manager, configuration_manager, inputs, outputs,\n"
        "                                   enable_deep_supervision=True):\n"
        "        return nn.Conv3d(inputs, outputs, len(configuration_manager.patch_size))\n"
        "class nnUNetTrainerOld(nnUNetTrainer):\n"
        "    @staticmethod\n"
        "    def build_network_architecture(architecture_class_name, arch_init_kwargs, arch_init_kwargs_req_import,\n"
        "                                   inputs, outputs, enable_deep_supervision=True):\n"
        "        return nn.Conv3d(inputs, outputs, len(arch_init_kwargs['strides'][0]) - 2)\n"
    )
    found: dict[str, Any] = {}
    monkeypatch.setattr("nnunetv2.utilities.find_objects.nnUNet_extTrainer", _Door(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("nnUNetTrainerOwn", "nnUNetTrainerOld"):
            try:
                found[name] = make_network(made.plans(), made.dataset(), "3d_fullres", name)
            except (RuntimeError, ImportError) as error:
                if "torchvision" not in str(error):
                    raise
                pytest.skip("torchvision does not import here, so nnU-Net's own search of trainers cannot")
        assert [network.kernel_size for network in found.values()] == [(3, 3, 3), (1, 1, 1)]
        with pytest.raises(ConfigError, match="nnUNetTrainerNone was not found"):
            make_network(made.plans(), made.dataset(), "3d_fullres", "nnUNetTrainerNone")


class _Door:
    """In the place of nnU-Net's variable nnUNet_extTrainer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_set(self) -> bool:
        return True

    def get(self) -> str:
        return str(self.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network_class_name": "subprocess.Popen"}, "Without its trainer only"),
        ({"network_class_name": "medmamba.networks.umamba.Nothing"}, "cannot be built"),
        ({"network_class_name": "dynamic_network_architectures.nowhere.Net"}, "cannot be built"),
        ({"_kw_requires_import": ["conv_op", "nonlin"], "nonlin": "os.system"}, "takes 'os.system' as nonlin"),
        ({"unknown_argument": 1}, "cannot be built"),
    ],
)
def test_networks_that_are_refused(change: dict[str, Any], message: str) -> None:
    content = made.plans()
    carried = content["configurations"]["3d_fullres"]["architecture"]
    for key, value in change.items():
        (carried if key in carried else carried["arch_kwargs"])[key] = value
    with pytest.raises(ConfigError, match=message):
        make_network(content, made.dataset(), "3d_fullres", None)


def test_what_the_plans_name_has_to_be_a_network(stock_plans: dict[str, Any]) -> None:
    called = "subprocess.Popen"
    stock_plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = called
    dataset = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "one": 1}, "file_ending": ".nii.gz"}
    with pytest.raises(ConfigError, match=f"{called} is no network"):
        make_network(stock_plans, dataset, "3d_fullres", "nnUNetTrainer")
