"""The networks that are measured: at which patch, with how many channels, and nnU-Net's plain U-Net beside them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError
from ..networks import create, info
from ..nnunet.presets import preset

PLAIN = "plain-unet"
"""nnU-Net's plain convolutional U-Net of six stages, 32 to 320 wide, 31 M parameters."""
_WIDTHS = (32, 64, 128, 256, 320, 320)
_SMALL = 64
_ABDOMEN = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
"""Strides of nnU-Net's plan for a patch of 40x224x192."""


@dataclass(frozen=True)
class Subject:
    """A network at the size of its paper."""

    name: str
    patch: tuple[int, ...]
    channels: int
    classes: int | None
    """None for registration, which takes two images."""

    def at(self, patch: str) -> "Subject":
        """The same with another patch: "paper", "small" or the edge of a cube. ConfigError for anything else."""
        if patch == "paper":
            return self
        if patch != "small" and not (patch.isdigit() and int(patch)):
            raise ConfigError(f"--patch {patch!r} is no patch size.", "Use paper, small, or a number such as 96.")
        edge = _SMALL if patch == "small" else int(patch)
        first = self.patch[0] if self.name == "vivim" else edge  # frames stay frames
        return Subject(self.name, (first, edge, edge), self.channels, self.classes)

    def build(self, mixer: str) -> nn.Module:
        """The network with random weights, the same every time. `mixer`: of `medmamba.blocks.mixers`."""
        torch.manual_seed(0)
        if self.name == PLAIN:
            return _plain_unet(self)
        config = {**preset(self.name).config, **self._options()}
        return create(self.name, input_channels=self.channels, num_classes=self.classes, mixer=mixer, **config)

    def _options(self) -> dict[str, Any]:
        if not self.name.startswith("umamba"):
            return {}
        strides = strides_for(self.patch)
        options: dict[str, Any] = {"strides": strides, "kernel_sizes": _kernels(strides)}
        return options | ({"input_size": self.patch} if self.name == "umamba-enc" else {})

    def inputs(self, batch: int, device: torch.device) -> tuple[torch.Tensor, ...]:
        """What its forward takes: one image, or two for registration."""
        source = torch.Generator().manual_seed(0)
        count = 2 if self.classes is None else 1
        sizes = (batch, self.channels, *self.patch)
        return tuple(torch.rand(sizes, generator=source).to(device) for _ in range(count))

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


SUBJECTS = (
    Subject("umamba-bot", (40, 224, 192), 1, 14),
    Subject("umamba-enc", (40, 224, 192), 1, 14),
    Subject("segmamba", (128, 128, 128), 4, 4),
    Subject("segmamba-v2", (128, 128, 128), 4, 4),
    Subject("lightm-unet", (128, 128, 128), 1, 3),
    Subject("vivim", (5, 256, 256), 3, 2),
    Subject("mambamorph", (176, 208, 192), 1, None),
)
"""Papers' patches; U-Mamba's is that of nnU-Net's plan for abdominal CT."""


def subject(name: str) -> Subject:
    """The network of that name; the plain U-Net gets U-Mamba's patch. ConfigError for an unknown name."""
    if name == PLAIN:
        return Subject(PLAIN, SUBJECTS[0].patch, 1, 14)
    found = [one for one in SUBJECTS if one.name == name]
    return found[0] if found else Subject(info(name).name, (128, 128, 128), 1, 2)


def plain_for(other: Subject) -> Subject:
    """The plain U-Net on the patch, channels and classes of another network; two images are two channels."""
    pair = other.classes is None
    return Subject(PLAIN, other.patch, 2 * other.channels if pair else other.channels, 3 if pair else other.classes)


def strides_for(patch: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Six stages; an axis is halved while it is even and stays at least 2, later than the others where it is short."""
    if tuple(patch) == SUBJECTS[0].patch:
        return _ABDOMEN
    sizes, strides = list(patch), [(1,) * len(patch)]
    for _ in range(len(_WIDTHS) - 1):
        stride = tuple(2 if size % 2 == 0 and size >= 4 else 1 for size in sizes)
        strides.append(stride)
        sizes = [size // step for size, step in zip(sizes, stride, strict=True)]
    return tuple(strides)


def _kernels(strides: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """3 everywhere, but 1 in the first stage along an axis that is pooled later than the others."""
    late = [stride == 1 and max(strides[1]) > 1 for stride in strides[1]]
    return (tuple(1 if one else 3 for one in late), *((3,) * len(late),) * (len(strides) - 1))


def _plain_unet(one: Subject) -> nn.Module:
    unet = import_module("dynamic_network_architectures.architectures.unet")
    strides = strides_for(one.patch)
    built: nn.Module = unet.PlainConvUNet(
        one.channels, len(_WIDTHS), _WIDTHS, nn.Conv3d, _kernels(strides), strides, 2, one.classes, 2,
        conv_bias=True, norm_op=nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True},
    )  # fmt: skip
    return built
