"""Module surgery: every part of a network that has a faster form gets it, in place."""

import re
import sys

import torch
from torch import nn

from ..blocks import conv3d, mixers, residual
from ..networks import lightm_unet, mambamorph, segmamba, segmamba_v2
from . import blocks, norms
from .layers import Convolution, FewChannels, Linear, Pointwise, Upsampling, Winograd, convolution, pooling, transposed
from .mixer import InferenceMixer
from .norms import NormAct, fusible_norm, slope_of

# The block's own attributes stay, only its forward is another.
_FORMS: dict[type[nn.Module], type[nn.Module]] = {
    nn.InstanceNorm2d: norms.InstanceNorm2d,
    nn.InstanceNorm3d: norms.InstanceNorm3d,
    nn.GroupNorm: norms.GroupNorm,
    residual.ShortcutBlock: blocks.ShortcutBlock,
    residual.IdentityBlock: blocks.IdentityBlock,
    residual.UnetrResidual: blocks.UnetrResidual,
    segmamba.SpatialConv: blocks.SpatialConv,
    segmamba.Normalise: blocks.Normalise,
    segmamba.StageEncoder: blocks.StageEncoder,
    segmamba_v2._ConvUnit: blocks.ConvUnit,
    lightm_unet.MixerBlock: blocks.MixerBlock,
    lightm_unet.UpBlock: blocks.UpBlock,
    lightm_unet.ScaledMixerLayer: blocks.ScaledMixerLayer,
    mambamorph.ActivatedConv: blocks.ActivatedConv,
    mambamorph.FeatureExtractor: blocks.FeatureExtractor,
}
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_CONVS = (nn.Conv2d, nn.Conv3d, conv3d.Conv3d)
# Convolutions of kernel 1 whose result leaves the network: nnU-Net's and U-Mamba's heads, LightM-UNet's, SegMamba's.
_HEADS = re.compile(r"(^|\.)(seg_layers\.\d+|conv_final\.2\.1\.conv|out\.conv\.conv)$")
# Where half precision is not enough: displacements in voxels.
_EXACT = re.compile(r"(^|\.)reg_head\.")


def convert(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """`network` with every part in its fast form for `dtype`; the modules are changed, not copied."""
    converted = _Conversion(dtype).of(network, "")
    for module in list(converted.modules()):
        if type(module) is nn.Sequential:
            _fuse(module)
    return converted


class _Conversion:
    """One network's way through the operation: what is done stays done, so a module in two places stays one module."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype, self.forms = dtype, _forms()
        self.done: dict[nn.Module, nn.Module] = {}

    def of(self, module: nn.Module, name: str) -> nn.Module:
        """The fast form of `module`, which stands in the network under `name`."""
        if module in self.done:
            return self.done[module]
        new = _leaf(module, name, torch.float32 if _EXACT.search(name) else self.dtype)
        self.done[module] = self.done[new] = new
        if new is module:
            for key, child in list(module._modules.items()):
                if child is not None:
                    module._modules[key] = self.of(child, f"{name}.{key}" if name else key)
            form = self.forms.get(type(module))
            if form is not None and (fusible_norm(module) or not isinstance(module, norms.INSTANCE_NORMS)):
                module.__class__ = form
        return new


def _leaf(module: nn.Module, name: str, dtype: torch.dtype) -> nn.Module:
    """Another module in the place of `module`, or itself."""
    kind = type(module)
    if kind in _CONVS:
        return convolution(module, dtype, first=_HEADS.search(name) is not None)  # type: ignore[arg-type]
    if kind in (nn.ConvTranspose2d, nn.ConvTranspose3d):
        return transposed(module, dtype)  # type: ignore[arg-type]
    if kind is nn.Linear:
        return Linear(module, dtype)  # type: ignore[arg-type]
    if kind is mixers.MambaMixer:
        return InferenceMixer(module, dtype, folded=dtype is torch.bfloat16)  # type: ignore[arg-type]
    if kind in (nn.AvgPool2d, nn.AvgPool3d):
        return pooling(module)  # type: ignore[arg-type]
    return nn.Identity() if kind in _DROPOUTS else module


def _forms() -> dict[type[nn.Module], type[nn.Module]]:
    """The forms of our blocks and, where that package is in use, of nnU-Net's."""
    if "dynamic_network_architectures.building_blocks.residual" not in sys.modules:
        return _FORMS
    from .nnunet_blocks import FORMS

    return _FORMS | FORMS


def _fuse(sequence: nn.Sequential) -> None:
    """Make one step of each norm and the activation behind it; places keep their numbers."""
    keys = list(sequence._modules)
    fresh = False  # whether the map at hand was made within this sequence and is used by nobody else
    for place, key in enumerate(keys):
        following = keys[place + 1] if place + 1 < len(keys) else None
        module = sequence._modules[key]
        assert module is not None
        if fusible_norm(module):
            slope = None if following is None else slope_of(sequence._modules[following])
            sequence._modules[key] = NormAct(module, 1.0 if slope is None else slope, overwrite=fresh)
            if slope is not None:
                sequence._modules[following] = nn.Identity()  # type: ignore[index]
            fresh = True
        elif isinstance(module, Convolution | FewChannels | Pointwise | Upsampling | Winograd):
            fresh = True
        elif slope_of(module) is None:
            fresh = False
