"""2-D and 3-D in one: torch's layer classes and interpolation modes by the number of spatial axes."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError

_CONV: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_INSTANCE_NORM: dict[int, type[nn.InstanceNorm2d] | type[nn.InstanceNorm3d]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_MAX_POOL: dict[int, type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


def check_dims(dims: int) -> None:
    """Raise ConfigError unless `dims` is 2 or 3."""
    if dims not in _CONV:
        raise ConfigError(f"A network has 2 or 3 spatial axes, not {dims}.", "Check spatial_dims or the patch size.")


def conv(dims: int) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """Convolution class for `dims` spatial axes."""
    check_dims(dims)
    return _CONV[dims]


def transposed_conv(dims: int) -> type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]:
    """Transposed convolution class for `dims` spatial axes."""
    check_dims(dims)
    return _TRANSPOSED[dims]


def instance_norm(dims: int) -> type[nn.InstanceNorm2d] | type[nn.InstanceNorm3d]:
    """Instance normalisation class for `dims` spatial axes."""
    check_dims(dims)
    return _INSTANCE_NORM[dims]


def max_pool(dims: int) -> type[nn.MaxPool2d] | type[nn.MaxPool3d]:
    """Max-pooling class for `dims` spatial axes."""
    check_dims(dims)
    return _MAX_POOL[dims]


def upsample_linear(x: Tensor, factor: int = 2, size: Sequence[int] | None = None) -> Tensor:
    """Bilinear or trilinear interpolation of (B, C, *spatial), align_corners False, by `factor` or to `size`."""
    mode = "bilinear" if x.dim() == 4 else "trilinear"
    if size is not None:
        return F.interpolate(x, size=list(size), mode=mode, align_corners=False)
    return F.interpolate(x, scale_factor=factor, mode=mode, align_corners=False)


def check_divisible(size: Sequence[int], divisor: Sequence[int], network: str) -> None:
    """Raise ConfigError, naming the sizes, unless every axis of `size` is a positive multiple of `divisor`."""
    if len(size) != len(divisor):
        raise ConfigError(f"{network} was built for {len(divisor)} spatial axes but got an input of size {tuple(size)}.")
    if any(s % d or s < d for s, d in zip(size, divisor, strict=True)):
        fitting = tuple(-(-s // d) * d for s, d in zip(size, divisor, strict=True))
        raise ConfigError(
            f"{network} needs sizes divisible by {tuple(divisor)}, got {tuple(size)}.",
            f"Pad the input to {fitting}, or choose such a patch size.",
        )
