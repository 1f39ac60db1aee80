# mypy: disable-error-code="import-untyped,import-not-found"
"""What the kernels become on a GPU, found without one: registers, shared memory and spilled bytes per kernel and type.

Triton compiles for a named architecture on any machine; the tools that it ships read the result. The variants are those
that the real workloads run: every optional argument given, a slow and a fast scan order, whole tiles.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton

from ...errors import SetupError
from .. import conv_triton
from .backward_kernel import scan_segment_backward
from .conv_kernel import conv_backward, conv_forward
from .forward_kernel import scan_segment
from .plan import INTERVAL, backward_tile, forward_tile
from .segment_kernel import compose, segment_ends

TYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
_REGISTERS = 65536  # of a multiprocessor, sm_80 and sm_90
_ALWAYS_FLOAT32 = {"A", "skip", "bias", "weight", "starts", "kept", "total", "last", "ends", "sums", "states", "into"}
_ALWAYS_FLOAT32 |= {"scratch", "dA", "dB", "dC", "dskip", "dbias", "dweight"}
_ALIGNED = ("D", "E", "segment", *(f"s{tensor}_{axis}" for tensor in "udvyxgz" for axis in "kbl"))


@dataclass(frozen=True)
class Compiled:
    """One kernel compiled for one architecture."""

    kernel: str
    dtype: str
    """Type of the inputs and outputs; states are float32."""
    states: int
    capability: int
    """80 or 90."""
    registers: int
    """Of a thread."""
    shared: int
    """Bytes of shared memory of a program."""
    spilled: int
    """Bytes of a thread's stack: registers that did not fit."""
    programs: int
    """Programs that one multiprocessor holds by their registers, 32 at most."""


def _variants(states: int) -> Iterator[tuple[str, Any, dict[str, Any], dict[str, int]]]:
    """(name, kernel, compile-time arguments, warps and, where limited, registers)."""
    one = {"num_warps": 1}
    order = {"SLICED": True, "EVEN": True, "WIDE": False}
    given: dict[str, Any] = {"N": states, "SOFTPLUS": True, "HAS_BIAS": True, "HAS_Z": True} | order
    forward = given | forward_tile(states).constants()
    for channels in (1, 2) if states <= 16 else (1,):
        tile = forward | {"D1": channels}
        name = f", {channels} a lane"
        yield "segment ends" + name, segment_ends, tile | {"BACKWARD": False}, one
        yield "segment ends backward" + name, segment_ends, tile | {"BACKWARD": True}, one
        main = tile | {"INTERVAL": INTERVAL, "HAS_SKIP": True, "HAS_START": True, "FIRST": True, "LAST": True}
        yield "forward" + name, scan_segment, main | {"KEEP": False}, one
        yield "forward, training" + name, scan_segment, main | {"KEEP": True}, one
    backward = given | backward_tile(states).constants() | {"INTERVAL": INTERVAL, "HAS_SKIP": True, "HAS_INTO": True}
    yield "backward", scan_segment_backward, backward | {"FIRST": True, "LAST": True}, one
    yield "backward, middle direction", scan_segment_backward, backward | {"FIRST": False, "LAST": False}, one
    yield "compose", compose, {"N": states, "BLOCK": 32, "BACKWARD": False}, one
    conv = {"TAPS": 4, "ROWS": 32, "COLUMNS": 64, "SILU": True, "HAS_BIAS": True, "SLICED": True, "WIDE": False}
    yield "convolution", conv_forward, conv, conv_triton.FORWARD
    yield "convolution backward", conv_backward, conv, conv_triton.BACKWARD


def _signature(kernel: Any, constants: dict[str, Any], element: str) -> dict[str, str]:
    """Argument types: pointers by name, sizes and strides as 32-bit integers."""
    names = kernel.arg_names
    sizes = {"slices", "sliced", "reverse", "k", "batch", "length", "D", "E", "segment", "segments", "directions"}
    types = {}
    for name in names:
        if name in constants:
            types[name] = "constexpr"
        elif name in sizes or re.fullmatch(r"s[a-z]_[kbl]", name):
            types[name] = "i32"
        else:
            types[name] = "*fp32" if name in _ALWAYS_FLOAT32 else "*" + element
    return types


def _usage(cubin: bytes) -> tuple[int, int]:
    """(registers, bytes of stack) by the disassembler's resource table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        printed = subprocess.run([tool, "-res-usage", path], capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", printed.stdout + printed.stderr)
    if found is None:
        raise SetupError("Triton's cuobjdump prints no table of resources.", "Install the Triton that torch asks for.")
    return int(found[1]), int(found[2])


def compile_one(kernel: Any, constants: dict[str, Any], element: str, capability: int, options: dict[str, int]) -> Any:
    """Triton's result for one kernel, without a GPU."""
    types = _signature(kernel, constants, element)
    attributes = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(types)
        if types[name][0] == "*" or (types[name] == "i32" and name in _ALIGNED)
    }
    source = triton.compiler.ASTSource(kernel, types, constants, attributes)
    target = triton.backends.compiler.GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options=options)


def compiled_kernels(
    states: int = 16, dtypes: tuple[str, ...] = ("float32", "bfloat16"), capabilities: tuple[int, ...] = (80, 90)
) -> list[Compiled]:
    """Every kernel for N = `states`, types by their torch names, architectures as 80 (A100) or 90 (H100, H200).

    Raises SetupError where the kernels were loaded for Triton's interpreter: that holds for the whole process.
    """
    if not isinstance(compose, triton.JITFunction):
        raise SetupError("The kernels are loaded for Triton's interpreter.", "Start again without TRITON_INTERPRET.")
    rows = []
    for capability in capabilities:
        for dtype in dtypes:
            for name, kernel, constants, options in _variants(states):
                result = compile_one(kernel, constants, TYPES[dtype], capability, options)
                registers, spilled = _usage(result.asm["cubin"])
                programs = min(32, _REGISTERS // (-(-registers // 8) * 8 * 32 * options["num_warps"]))
                rows.append(
                    Compiled(name, dtype, states, capability, registers, result.metadata.shared, spilled, programs)
                )
    return rows
