"""What one training step of a network needs, in memory and in arithmetic, without running it.

The network itself runs, forward and backward, on fake tensors, which have a shape but no numbers, while a ledger counts
the bytes that are alive: so every network, patch and batch size is covered by one rule, and recomputed activations too.
What operators take inside themselves, no tensor shows: `workspace` says how much that is.
"""

import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ..scan import dispatch
from .recompute import recompute as recompute_blocks

DeviceType = Literal["cpu", "cuda"]
DTYPES: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
STATES = {"sgd": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimiser keeps for each parameter."""
_MIB = 1 << 20
_CUDA_CONTEXT = 1024 * _MIB
"""What a process takes of a GPU beside its tensors: context, kernels, library handles and their workspaces."""
_CUDA_FRAGMENTS = 0.1
"""Share of the peak that torch's allocator holds besides it."""
_CPU_BASE = 128 * _MIB
"""Thread pools and buffers of the first steps."""
_HEAP_BLOCK = 32 * _MIB
"""From this size on glibc gives a block its own mapping, and back at once when it is freed."""
_HEAP_HELD = {False: 0.25, True: 0.18}
"""Share of what passes through glibc's heap in a step that the heap holds for nothing, without and with recomputed
activations: as measured on all networks, where the rule is mostly within 15 %."""
_SCAN_WORK = {"selective_scan": 9, "selective_scan_backward": 27}
"""Multiplications, additions and (as several) exponentials for each token, channel and state."""


@dataclass(frozen=True)
class Footprint:
    """Bytes at the peak of a training step, by what holds them, and the step's arithmetic."""

    parameters: int
    """How many numbers the network learns."""
    weights: int
    optimizer: int
    activations: int
    """What the forward and the loss keep for the backward, the batch included."""
    transient: int
    """What is alive at the peak beyond the others: gradients, intermediate results, operators' own memory."""
    overhead: int
    """The device's share: context and libraries, what the allocator holds and does not use."""
    flops: int
    """Multiplications and additions, forward and backward, of the whole batch."""

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return self.weights + self.optimizer + self.activations + self.transient + self.overhead


class _Ledger(TorchDispatchMode):
    """Counts the bytes of all storages alive, their peak, and the floating-point operations."""

    def __init__(self, device_type: DeviceType) -> None:
        super().__init__()
        self.device_type = device_type
        self.alive = self.peak = self.flops = self.through_heap = 0
        self._known: weakref.WeakKeyDictionary[torch.UntypedStorage, None] = weakref.WeakKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return False  # an initialisation asks whether it drew a number out of bounds
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        self.peak = max(self.peak, self.alive + workspace(func, args, out, self.device_type))
        packet = func._overloadpacket
        if packet in flop_registry:
            self.flops += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        elif packet.__name__ in _SCAN_WORK:
            self.flops += _SCAN_WORK[packet.__name__] * args[0].numel() * args[2].shape[-1]
        return out

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._known:
            size = storage.nbytes()
            self._known[storage] = None
            self.alive += size
            if size < _HEAP_BLOCK:
                self.through_heap += size
            weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.alive -= size


def workspace(func: Any, args: tuple[Any, ...], out: Any, device_type: DeviceType) -> int:
    """Bytes that an operator takes for itself while it runs.

    Convolution libraries turn maps into their own layout; the backward of a scan sums some gradients in float32.
    """
    name = func._overloadpacket.__name__
    if name == "convolution":
        return _size(args[0]) + _size(out)
    if name == "convolution_backward":
        return 2 * _size(args[0]) + _size(args[1])
    if name == "selective_scan_backward" and device_type == "cpu" and args[6] is not None:
        return 4 * args[6].numel()
    return 0


def _size(*tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))


@contextmanager
def _cuda_autocast() -> Iterator[None]:
    """Autocast as on CUDA, where some operations run in float32 that it leaves in half precision on a CPU.

    The functions are replaced for the while, as a torch function mode would not see what a backward runs again.
    """
    before = {name: getattr(nn.functional, name) for name in ("layer_norm", "group_norm", "interpolate")}

    def wide(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(*args: Any, **kwargs: Any) -> Tensor:
            if torch.is_autocast_enabled("cpu"):
                args = tuple(a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
            return function(*args, **kwargs)

        return run

    try:
        for name, function in before.items():
            setattr(nn.functional, name, wide(function))
        yield
    finally:
        for name, function in before.items():
            setattr(nn.functional, name, function)


@contextmanager
def _as_on(device_type: DeviceType) -> Iterator[None]:
    """Fake CPU tensors behave as on a device of that type, as far as memory goes."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        if device_type == "cuda":
            stack.enter_context(dispatch.assume("triton"))
            stack.enter_context(_cuda_autocast())
        yield


def measure(
    build: Callable[[], nn.Module],
    shapes: Sequence[Sequence[int]],
    loss: Callable[[Any], Tensor],
    *,
    precision: str = "fp32",
    optimizer: str = "sgd",
    recompute: bool = False,
    device_type: DeviceType = "cpu",
) -> Footprint:
    """The footprint of one training step.

    Parameters
    ----------
    build: makes the network. shapes: of its inputs, batch first. loss: of its output (in float32) to a scalar.
    precision: "fp32", "bf16" or "fp16", by autocast. optimizer: "sgd" (with momentum), "adam" or "adamw".
    recompute: activations of blocks are computed again in the backward instead of kept.
    device_type: "cpu" for this machine's, "cuda" for any GPU.

    Raises ConfigError as the network does for shapes that it does not take.
    """
    with FakeTensorMode(), _as_on(device_type), _Ledger(device_type) as ledger:
        network = build().train()
        if recompute:
            recompute_blocks(network)
        weights = ledger.alive
        inputs = [torch.empty(tuple(shape)) for shape in shapes]
        ledger.peak = ledger.flops = ledger.through_heap = 0
        dtype = DTYPES[precision]
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            output = _as_float(network(*inputs))
        value = loss(output)
        kept = ledger.alive - weights
        value.backward()
        del output, value
        learnt = [p for p in network.parameters() if p.requires_grad]
    trained = _size(*learnt)
    state = STATES[optimizer] * trained
    # the step itself: all gradients, and on a GPU two copies of them that the batched update makes
    stepping = trained * (3 if device_type == "cuda" else 1)
    transient = max(ledger.peak - weights - kept, stepping - kept, 0)
    needed = weights + state + kept + transient
    return Footprint(
        parameters=sum(p.numel() for p in learnt),
        weights=weights,
        optimizer=state,
        activations=kept,
        transient=transient,
        overhead=_overhead(needed, ledger, recompute),
        flops=int(ledger.flops),
    )


def forward(network: nn.Module, shape: Sequence[int], dtype: torch.dtype | None, device_type: DeviceType) -> int:
    """Bytes at the peak of a forward without gradients beyond the weights; input and output count.

    Parameters
    ----------
    network: a built one, on the CPU; it is not changed. shape: of its input, batch first. dtype: of autocast, None for
    float32.

    Raises what the network raises for a shape that it does not take.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), _as_on(device_type), _Ledger(device_type) as ledger:
        batch = torch.empty(tuple(shape))
        with torch.no_grad(), torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            network(batch)
    return ledger.peak


def _overhead(needed: int, ledger: _Ledger, recompute: bool) -> int:
    """What a device and its allocator hold besides `needed` bytes."""
    if ledger.device_type == "cuda":
        return _CUDA_CONTEXT + int(_CUDA_FRAGMENTS * needed)
    return _CPU_BASE + int(_HEAP_HELD[recompute] * ledger.through_heap)


def _as_float(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output
    return type(output)(_as_float(part) for part in output)
