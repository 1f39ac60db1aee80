"""nnU-Net's residual blocks with norm, addition and activation as one step. Imported only where they are in use."""

from dynamic_network_architectures.building_blocks import residual  # type: ignore[import-untyped]
from torch import Tensor, nn

from .norms import NormAct, normalised, slope_of


def _bare_norm(module: nn.Module) -> bool:
    """Whether `module` is a unit (convolution, ..., norm) that ends with a norm and no activation."""
    units = getattr(module, "all_modules", None)
    last = units[-1] if isinstance(units, nn.Sequential) and len(units) else None
    return isinstance(last, NormAct) and last.slope == 1.0


def _before_norm(unit: nn.Module, x: Tensor) -> tuple[Tensor, nn.Module]:
    """What the unit's norm would get, and that norm."""
    *body, last = unit.all_modules  # type: ignore[misc]
    for module in body:
        x = module(x)
    return x, last.norm


def _joined(block: nn.Module, unit: nn.Module, y: Tensor, x: Tensor, slope: float) -> Tensor:
    """``act(unit(y) + skip(x))`` for a block's last unit."""
    *pools, projection = block.skip if isinstance(block.skip, nn.Sequential) else [nn.Identity()]
    for pool in pools:
        x = pool(x)
    y, norm = _before_norm(unit, y)
    if not _bare_norm(projection):
        return normalised(y, norm, residual=projection(x), outer=slope, overwrite=True)
    x, projected = _before_norm(projection, x)
    return normalised(y, norm, residual=x, residual_norm=projected, outer=slope, overwrite=True)


class BasicBlockD(residual.BasicBlockD):
    """Form of nnU-Net's residual block."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial / stride)."""
        slope = slope_of(self.nonlin2)
        if self.apply_se or slope is None or not _bare_norm(self.conv2):
            return super().forward(x)
        return _joined(self, self.conv2, self.conv1(x), x, slope)


class BottleneckD(residual.BottleneckD):
    """Form of nnU-Net's bottleneck block."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *spatial) -> (B, C_out, *spatial / stride)."""
        slope = slope_of(self.nonlin3)
        if self.apply_se or slope is None or not _bare_norm(self.conv3):
            return super().forward(x)
        return _joined(self, self.conv3, self.conv2(self.conv1(x)), x, slope)


FORMS: dict[type[nn.Module], type[nn.Module]] = {
    residual.BasicBlockD: BasicBlockD,
    residual.BottleneckD: BottleneckD,
}
