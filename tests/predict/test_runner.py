"""The network's runner beside nnU-Net's predictor, and the ways it falls back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor, nn

from medmamba import runtime
from medmamba.engine import precision
from medmamba.errors import ConfigError, SetupError
from medmamba.nnunet.loaded import load_folder
from medmamba.nnunet.recipe import make_recipe
from medmamba.predict.recipe import LoadedModel
from medmamba.predict.runner import Runner
from tests.networks.small import build
from tests.nnunet import plans_by_hand as made
from tests.nnunet.results_by_hand import write_results

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def model_of(network: nn.Module, patch: tuple[int, ...] = (16, 16, 16), **changes: Any) -> LoadedModel:
    """A model around any network with one channel and three labels."""
    recipe = make_recipe(made.plans(), made.dataset(), "3d_fullres" if len(patch) == 3 else "2d", None)
    content: dict[str, Any] = {
        "recipe": replace(recipe, patch_size=patch),
        "network": network.eval(),
        "weights": (network.state_dict(),),
        "folds": ("0",),
        "plans": {},
        "dataset": {},
        "name": "made",
        "digest": "",
        "precision": None,
    }
    return LoadedModel(**{**content, **changes})


def nnunets(model: LoadedModel, tiles: Tensor, fold: int, mirror: bool = True) -> Tensor:
    """What nnU-Net's predictor makes of the tiles."""
    predictor = nnUNetPredictor(use_mirroring=mirror, device=CPU, allow_tqdm=False)
    model.network.load_state_dict(model.weights[fold], assign=True)
    predictor.network, predictor.allowed_mirroring_axes = model.network, model.recipe.mirror_axes
    output: Tensor = predictor._internal_maybe_mirror_and_predict(tiles)
    return output


@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize(
    ("name", "axes"), [("3d_fullres", (0, 1, 2)), ("3d_fullres", (2, 0)), ("3d_fullres", None), ("2d", (0, 1))]
)
def test_torch_in_float32_is_nnunet_bit_for_bit(
    tmp_path: Path, name: str, axes: tuple[int, ...] | None, mirror: bool
) -> None:
    model = load_folder(write_results(tmp_path, name, folds=(0, 1), mirror_axes=axes))
    runner = Runner(model, CPU, "fp32", engine=False, mirror=mirror)
    assert runner.axes == ((axes or ()) if mirror else ()) and runner.folds == 2
    tiles = torch.randn(2 if name == "2d" else 1, 1, *model.recipe.patch_size)
    for fold in (1, 0, 1):
        assert torch.equal(runner(tiles.clone(), fold), nnunets(model, tiles, fold, mirror))


@pytest.mark.parametrize("name", ["umamba-bot", "segmamba"])
def test_the_engine_gives_nnunets_logits(name: str) -> None:
    network = build(name, channels=1)
    patch = (32, 16, 16) if name == "segmamba" else (16, 16, 16)
    second = {key: value * 1.1 for key, value in network.state_dict().items()}
    model = model_of(network, patch)
    model = replace(
        model,
        weights=({key: value.clone() for key, value in network.state_dict().items()}, second),
        recipe=replace(model.recipe, mirror_axes=(0, 1, 2)),
    )
    runner = Runner(model, CPU, "fp32")
    tiles = torch.randn(2, 1, *patch)
    assert runner.uses_engine and not runner.notes and "channels innermost" in runner.describe()
    for fold in (0, 1, 0):
        wanted = nnunets(model, tiles, fold)
        torch.testing.assert_close(runner(tiles, fold), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
    assert len(runner._networks) == 2


def test_mirrored_copies_at_once(tmp_path: Path) -> None:
    model = load_folder(write_results(tmp_path, "2d", mirror_axes=(0, 1)))
    runner = Runner(model, CPU, "fp32", engine=False)
    tiles = torch.randn(3, 1, *model.recipe.patch_size)
    wanted = runner(tiles, 0)
    runner.mirrors_at_once = True
    torch.testing.assert_close(runner(tiles, 0), wanted, rtol=1e-4, atol=1e-5)


class Indexed(nn.Module):
    """Looks into a sequence at results that the engine makes in one step with what follows."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.InstanceNorm3d(4, affine=True), nn.LeakyReLU(), nn.Conv3d(4, 3, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        before = self.parts[1](self.parts[0](x))
        return self.parts[3](self.parts[2](before)) + before[:, :3]


class Kept(nn.Module):
    """Keeps an intermediate result that a later step would overwrite."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.InstanceNorm3d(3, affine=True), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for part in self.head:
            x = part(x)
            kept.append(x)
        return kept[0] * 2 + kept[2]


def _scripted() -> nn.Module:
    network = nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.InstanceNorm3d(3, affine=True), nn.LeakyReLU())
    scripted: nn.Module = torch.jit.script(network.eval())
    return scripted


def _hooked() -> nn.Module:
    network = build("umamba-bot", channels=1)
    next(module for module in network.modules() if isinstance(module, nn.InstanceNorm3d)).register_forward_hook(
        lambda module, inputs, output: output + 1
    )
    return network


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [Indexed, Kept, _scripted, _hooked])
def test_networks_that_the_engine_does_not_know(make: Any) -> None:
    torch.manual_seed(0)
    model = model_of(make())
    runner = Runner(model, CPU, "fp32")
    tile = torch.randn(1, 1, 16, 16, 16)
    wanted = nnunets(model, tile, 0)
    torch.testing.assert_close(runner(tile, 0), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
    assert not runner.uses_engine and "plain torch runs it" in runner.notes[0]


def test_an_unknown_network_that_runs_alike() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.InstanceNorm3d(8), nn.LeakyReLU(), nn.Conv3d(8, 3, 1))
    runner = Runner(model_of(network), CPU, "fp32")
    assert runner.uses_engine and not runner.notes


@pytest.mark.parametrize(("change", "known"), [({}, True), ({"nonlin": "torch.nn.GELU", "nonlin_kwargs": {}}, False)])
def test_stock_networks_of_usual_layers_are_not_tried(
    change: dict[str, Any], known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = made.plans()
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"].update(change)
    model = load_folder(write_results(tmp_path, plans=plans))
    tried: list[nn.Module] = []
    network_class = type(model.network)
    forward = network_class.forward
    monkeypatch.setattr(network_class, "forward", lambda self, x: (tried.append(self), forward(self, x))[1])
    assert Runner(model, CPU, "fp32").uses_engine and bool(tried) != known


class Odd(nn.Module):
    """Another kind of output."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: Tensor) -> Any:
        return self.make(x.repeat(1, 3, 1, 1, 1))


def test_what_comes_out() -> None:
    tile = torch.randn(1, 1, 16, 16, 16)
    several = Runner(model_of(Odd(lambda x: [x, x[..., ::2]])), CPU)
    assert several(tile, 0).shape == (1, 3, 16, 16, 16)
    with pytest.raises(ConfigError, match="no tensor but dict"):
        Runner(model_of(Odd(lambda x: {"logits": x})), CPU)(tile, 0)
    with pytest.raises(ConfigError, match="its output is 1x2x16x16x16 and not 1x3x16x16x16"):
        Runner(model_of(Odd(lambda x: x[:, :2])), CPU)(tile, 0)


@pytest.mark.parametrize("use", [True, False])
def test_a_tile_that_the_network_refuses(use: bool, tmp_path: Path) -> None:
    runner = Runner(load_folder(write_results(tmp_path)), CPU, engine=use)
    with pytest.raises(ConfigError, match="PlainConvUNet cannot run on a tile of 18x16x16 voxels with 1 channel"):
        runner(torch.zeros(1, 1, 18, 16, 16), 0)
    with pytest.raises(ConfigError, match="with 2 channel"):
        runner(torch.zeros(1, 2, 16, 16, 16), 0)
    ours = Runner(model_of(build("segmamba", channels=1), (32, 16, 16)), CPU, engine=use)
    with pytest.raises(ConfigError, match="16"):
        ours(torch.zeros(1, 1, 20, 16, 16), 0)


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(x: Tensor) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    runner = Runner(model_of(Odd(lambda x: x)), CPU, engine=False)
    monkeypatch.setattr(runner._network(0), "make", refuse)
    with pytest.raises(SetupError, match=r"does not suffice for a tile of 16x16x16 voxels; it takes about 0\.\d GB"):
        runner(torch.zeros(1, 1, 16, 16, 16), 0)


def test_the_format_of_the_engine_follows_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(build("umamba-bot", channels=1))
    for flags, name, why in ((("amx_bf16",), "bf16", "this CPU has bf16"), ((), "fp32", "this CPU has no bf16")):
        monkeypatch.setattr(runtime, "cpu_flags", lambda flags=flags: flags)
        chosen = Runner(model, CPU).precision
        assert chosen.name == name and why in chosen.reason
        assert Runner(replace(model, precision="fp32"), CPU).precision.name == "fp32"
        assert Runner(replace(model, precision="fp32"), CPU, "bf16").precision.name == "bf16"
    with pytest.raises(ConfigError, match="no fp16"):
        Runner(model, CPU, "fp16")


def test_the_format_without_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(build("umamba-bot", channels=1))
    assert str(Runner(model, CPU, engine=False).precision) == "fp32 (nnU-Net's own way)"
    assert str(Runner(model, CUDA).precision) == "fp16 (nnU-Net's own way)"
    ours = replace(model, precision="auto")
    for has, name in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has=has, **_: has)
        assert Runner(ours, CUDA).precision.name == name
    monkeypatch.setattr(runtime, "cpu_flags", lambda: ("amx_bf16",))
    assert "s a step against" in Runner(ours, CPU, engine=False).precision.reason
    assert Runner(ours, CPU, "bf16", engine=False)(torch.zeros(1, 1, 16, 16, 16), 0).dtype is torch.float32


@pytest.mark.parametrize("ours", [True, False])
def test_float16_that_overflows_gives_way(ours: bool) -> None:
    network = nn.Conv3d(1, 3, 1)
    nn.init.constant_(network.weight, 3.0)
    runner = Runner(replace(model_of(network), precision="auto" if ours else None), CPU, "fp32", engine=False)
    runner.precision = precision.Precision(torch.float16, "for a test")
    small = runner(torch.ones(1, 1, 4, 4, 4), 0)
    assert small.dtype is (torch.float32 if ours else torch.float16) and not runner.notes
    large = runner(torch.full((1, 1, 4, 4, 4), 3e4), 0)
    assert large.dtype is torch.float32 and bool(large.isfinite().all())
    assert runner.precision.name == "fp32" and "not finite" in runner.notes[0]


def test_less_of_a_gpus_memory(tmp_path: Path) -> None:
    model = load_folder(write_results(tmp_path, folds=(0, 1)))
    runner = Runner(model, CUDA)
    assert runner.mirrors_at_once
    before = runner.activation_bytes()
    assert runner.smaller() and not runner.mirrors_at_once and runner.activation_bytes() < before - (1 << 20)
    runner.device = CPU  # where the rest can be seen
    runner._networks = {0: runner._made(0), 1: runner._made(1)}
    runner.device = CUDA
    assert runner.smaller() and not runner._networks
    runner.device = CPU
    for fold in (0, 1, 0):
        assert runner._network(fold) is runner._network(fold) and len(runner._networks) == 1
    assert not runner.smaller()
    assert not Runner(model, CPU).smaller()


def test_memory_of_weights_and_maps(tmp_path: Path) -> None:
    model = load_folder(write_results(tmp_path, folds=(0, 1)))
    runner = Runner(model, CPU, "fp32", engine=False, mirror=False)
    numbers = sum(parameter.numel() for parameter in model.network.parameters())
    assert runner.weight_bytes() == 2 * 4 * numbers
    one, two = runner.activation_bytes(), runner.activation_bytes(2)
    map_of_one_stage = 8 * 16 * 24 * 16 * 4
    assert 2 * map_of_one_stage < one < two
    assert Runner(model, CPU, "fp32", engine=False).activation_bytes() > one
    refused = Runner(replace(model, recipe=replace(model.recipe, patch_size=(18, 16, 16))), CPU)
    with pytest.raises(ConfigError, match="18x16x16"):
        refused.activation_bytes()
