"""2-D and 3-D in one: torch's layer classes and interpolation modes by the number of spatial axes."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError
from .conv3d import Conv3d

_CONV: dict[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: Conv3d}
_TRANSPOSED: dict[int, Callable[..., nn.Module]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
_INSTANCE_NORM: dict[int, Callable[..., nn.Module]] = {
    2: nn.InstanceNorm2d,
    3: nn.InstanceNorm3d,
}
_MAX_POOL: dict[int, Callable[..., nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


def check_dims(dims: int) -> None:
    """Raise ConfigError unless `dims` is 2 or 3."""
    if dims not in _CONV:
        raise ConfigError(f"A network has 2 or 3 spatial axes, not {dims}.", "Check spatial_dims or the patch size.")


def conv(dims: int) -> Callable[..., nn.Module]:
    """Convolution class for `dims` spatial axes."""
    check_dims(dims)
    return _CONV[dims]


def transposed_conv(dims: int) -> Callable[..., nn.Module]:
    """Transposed convolution class for `dims` spatial axes."""
    check_dims(dims)
    return _TRANSPOSED[dims]


def instance_norm(dims: int) -> Callable[..., nn.Module]:
    """Instance normalisation class for `dims` spatial axes."""
    check_dims(dims)
    return _INSTANCE_NORM[dims]


def max_pool(dims: int) -> Callable[..., nn.Module]:
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
        raise ConfigError(
            f"{network} was built for {len(divisor)} spatial axes but got an input of size {tuple(size)}."
        )
    if any(s % d or s < d for s, d in zip(size, divisor, strict=True)):
        fitting = tuple(-(-s // d) * d for s, d in zip(size, divisor, strict=True))
        raise ConfigError(
            f"{network} needs sizes divisible by {tuple(divisor)}, got {tuple(size)}.",
            f"Pad the input to {fitting}, or choose such a patch size.",
        )
