"""A trained network on its device, in its number format: tiles in, logits out, mirrored and fold by fold."""

import copy
import time
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from ..engine import accelerate, describe
from ..engine import precision as formats
from ..engine.precision import Precision
from ..errors import ConfigError, MedMambaError, SetupError
from . import activations
from .alike import is_covered, logits_of, runs_alike
from .recipe import LoadedModel

_NOT_FINITE = "Its float16 output is not finite, so this network runs in fp32 from now on."


class Runner:
    """Runs the folds of a model on tiles.

    On a CPU a network that the engine is known to run, or is seen to run alike, takes its fast form; with `engine`
    False, in float32, results are nnU-Net's bit for bit. On a GPU other people's networks run under nnU-Net's own
    float16 autocast and ours in what their recipe asks for; float16 that overflows gives way to float32.

    Parameters
    ----------
    model: its network stays on the CPU; every fold gets a copy when it is first asked for.
    device: where to run, of `medmamba.runtime.device`.
    precision: fp32, bf16, fp16 (GPUs only), or auto: what the model's recipe asks for, else what suits the device.
    engine: on a CPU, run the network in its fast form.
    mirror: average over tiles mirrored along the axes that the model was trained with.

    Raises ConfigError for a precision that the device does not have.
    """

    def __init__(
        self,
        model: LoadedModel,
        device: torch.device,
        precision: str = "auto",
        engine: bool = True,
        mirror: bool = True,
    ) -> None:
        self.model, self.device = model, device
        self.folds = len(model.weights)
        self.axes: tuple[int, ...] = (model.recipe.mirror_axes or ()) if mirror else ()
        """Axes of the patch that are mirrored; empty: none."""
        self.mirrors_at_once = device.type == "cuda"
        """Whether a tile's mirrored copies go through the network as one batch."""
        self.notes: list[str] = []
        """What the user should know about the way this network is run."""
        self._one_resident = False
        self._networks: dict[int, nn.Module] = {}
        self._measured: dict[tuple[tuple[int, ...], torch.dtype | None], int] = {}
        self.uses_engine = engine and device.type == "cpu" and self._engine_runs_it()
        self.precision: Precision = self._choose(precision)
        """The number format, with the reason in words."""

    # ---- what it is

    def describe(self) -> str:
        """One line for people: what runs the network, in which number format and why."""
        plain = f"{type(self.model.network).__name__}: torch on {self.device}"
        how = describe(self._network(0)) if self.uses_engine else plain
        return f"{how}; {self.precision}"

    @property
    def _shape(self) -> tuple[int, ...]:
        """Of one tile, as a batch of one."""
        recipe = self.model.recipe
        channels = len(recipe.channels) + (len(recipe.foreground) if recipe.previous_stage else 0)
        return (1, channels, *recipe.patch_size)

    def _engine_runs_it(self) -> bool:
        network = self.model.network
        if is_covered(network):
            return True
        network.load_state_dict(self.model.weights[0], assign=True)
        if runs_alike(network, self._shape):
            return True
        self.notes.append(f"The CPU engine does not know {type(network).__name__}, so plain torch runs it.")
        return False

    def _choose(self, wanted: str) -> Precision:
        if self.uses_engine:
            return formats.for_engine(wanted if wanted != "auto" else self.model.precision or "auto")
        ours = self.model.precision
        if wanted == "auto" and ours is None:
            half = torch.float16 if self.device.type == "cuda" else None
            return Precision(half, "nnU-Net's own way")
        return formats.choose(wanted if wanted != "auto" else str(ours), self.device, self._trial)

    def _trial(self, dtype: torch.dtype | None) -> float:
        """Seconds of one tile in a number format, on the CPU."""
        self.model.network.load_state_dict(self.model.weights[0], assign=True)
        with torch.inference_mode(), torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            for _ in range(2):  # the first pass also allocates memory and prepares kernels
                started = time.perf_counter()
                output = self.model.network(torch.ones(self._shape))
        return time.perf_counter() - started if bool(output.isfinite().all()) else float("inf")

    # ---- running it

    @torch.inference_mode()
    def __call__(self, tiles: Tensor, fold: int) -> Tensor:
        """Tiles (B, C, *patch) on the device -> logits (B, heads, *patch) of one fold: mean over mirrored copies.

        float32; under nnU-Net's autocast float16, as there. Raises ConfigError for a tile that the network does not
        take, SetupError when the host's memory does not suffice, and torch.OutOfMemoryError when a GPU's does not.
        """
        network = self._network(fold)
        output = self._mean(network, tiles)
        if self.precision.dtype is torch.float16 and not bool(output.isfinite().all()):
            self.precision = Precision(None, "float16 was not enough")
            self.notes.append(_NOT_FINITE)
            output = self._mean(network, tiles)
        return output

    def _mean(self, network: nn.Module, tiles: Tensor) -> Tensor:
        """Over mirrored copies, added up in nnU-Net's order."""
        flips = [axes for count in range(1, len(self.axes) + 1) for axes in combinations(self.axes, count)]
        turns = [tuple(axis + 2 for axis in axes) for axes in flips]
        if turns and self.mirrors_at_once:
            copies = torch.cat([tiles, *(tiles.flip(axes) for axes in turns)])
            output, *mirrored = self._forward(network, copies).split(len(tiles))
            output = output.clone()
            for axes, part in zip(turns, mirrored, strict=True):
                output += part.flip(axes)
        else:
            output = self._forward(network, tiles)
            for axes in turns:
                output += self._forward(network, tiles.flip(axes)).flip(axes)
        if turns:
            output /= len(turns) + 1
        return output

    def _forward(self, network: nn.Module, tiles: Tensor) -> Tensor:
        dtype = None if self.uses_engine else self.precision.dtype
        try:
            output = logits_of(_in_format(network, tiles, dtype))
        except (MedMambaError, torch.OutOfMemoryError):
            raise
        except (RuntimeError, ValueError, MemoryError) as error:
            if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
                raise self._too_little(tiles) from error
            raise self._refused(tiles, str(error).splitlines()[0]) from error
        wanted = (len(tiles), self.model.recipe.heads, *tiles.shape[2:])
        if output.shape != wanted:
            raise self._refused(tiles, f"its output is {_times(output.shape)} and not {_times(wanted)}.")
        keep = dtype is torch.float16 and self.model.precision is None
        return output if keep else output.float()

    def _refused(self, tiles: Tensor, why: str) -> ConfigError:
        return ConfigError(
            f"{type(self.model.network).__name__} cannot run on a tile of {_times(tiles.shape[2:])} voxels with "
            f"{tiles.shape[1]} channel(s): {why}",
            "The patch_size and labels of the plans have to be those that it was made for.",
        )

    def _too_little(self, tiles: Tensor) -> SetupError:
        needed = activations.text(self.activation_bytes(len(tiles)))
        return SetupError(
            f"The memory does not suffice for a tile of {_times(tiles.shape[2:])} voxels; it takes about {needed}.",
            "End what else runs on this machine, or take a larger one.",
        )

    def _network(self, fold: int) -> nn.Module:
        """The network with the weights of a fold, on the device."""
        if fold not in self._networks:
            if self._one_resident:
                self._networks.clear()
            self._networks[fold] = self._made(fold)
        return self._networks[fold]

    def _made(self, fold: int) -> nn.Module:
        weights, network = self.model.weights[fold], self.model.network
        if self.uses_engine:
            network.load_state_dict(weights, assign=True)  # no second copy; in-place loading would write into the first
            return accelerate(network, self.precision.dtype or torch.float32)
        network = copy.deepcopy(network)
        network.load_state_dict(weights)  # the copy's own tensors
        return network.to(self.device).eval()

    def smaller(self) -> bool:
        """Take less of the GPU's memory from now on; False when there is nothing left to give up.

        First the mirrored copies go through the network one by one, then one fold at a time lies on the GPU.
        """
        if self.device.type != "cuda":
            return False
        if self.mirrors_at_once and self.axes:
            self.mirrors_at_once = False
            return True
        if self.folds > 1 and not self._one_resident:
            self._one_resident = True
            self._networks.clear()
            return True
        return False

    # ---- what it takes

    def activation_bytes(self, batch: int = 1) -> int:
        """Estimate of the memory that one call with `batch` tiles takes beyond weights, tiles and output included.

        See `activations.forward_bytes` for how sure it is. Raises ConfigError where the network does not take a tile.
        """
        copies = 2 ** len(self.axes) if self.mirrors_at_once else 1
        shape = (batch * copies, *self._shape[1:])
        forward = self._forward_bytes(shape, self.precision.dtype)
        # beside the forward: the sum over mirrored copies, a mirrored tile, and the flipped output
        voxels = shape[0] * _product(shape[2:])
        return forward + (voxels * 4 * (2 * self.model.recipe.heads + shape[1]) if self.axes else 0)

    def _forward_bytes(self, shape: tuple[int, ...], dtype: torch.dtype | None) -> int:
        if (shape, dtype) in self._measured:
            return self._measured[shape, dtype]
        network, kind = self.model.network, self.device.type
        try:
            size = activations.forward_bytes(network, shape, dtype, kind, self.uses_engine)
        except MedMambaError:
            raise
        except (RuntimeError, ValueError) as error:
            raise self._refused(torch.empty(shape, device="meta"), str(error).splitlines()[0]) from error
        self._measured[shape, dtype] = size
        return size

    def weight_bytes(self) -> int:
        """Memory that the weights of all folds take in the form in which they run, beyond the loaded model's own."""
        one = self._network(0)
        tensors = {tensor.data_ptr(): tensor for tensor in [*one.parameters(), *one.buffers()]}
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        return size * (1 if self._one_resident else self.folds)


def _in_format(network: nn.Module, tiles: Tensor, dtype: torch.dtype | None) -> Any:
    """The network's output under autocast to a type; None: without autocast, which some devices do not take at all."""
    if dtype is None:
        return network(tiles)
    with torch.autocast(tiles.device.type, dtype=dtype):
        return network(tiles)


def _product(sizes: tuple[int, ...]) -> int:
    return int(torch.Size(sizes).numel())


def _times(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
