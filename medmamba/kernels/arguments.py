"""The argument blocks of the library's calls, field for field as in csrc/library.h: 64 bits each."""

import ctypes

import torch
from torch import Tensor

_DTYPES = {torch.float32: 0, torch.bfloat16: 1}


def dtype_code(dtype: torch.dtype) -> int | None:
    """The library's number of a type it takes, else None."""
    return _DTYPES.get(dtype)


class _Block(ctypes.Structure):
    """A structure filled by name: a pointer takes a tensor's address or None; everything left out is zero."""

    def __init__(self, **fields: Tensor | float | None) -> None:
        super().__init__()
        types = dict(self._fields_)  # type: ignore[arg-type]
        for name, value in fields.items():
            if isinstance(value, Tensor):  # a tracer hands over sizes as tensors too
                value = value.data_ptr() if types[name] is ctypes.c_void_p else value.item()
            assert name in types, name
            setattr(self, name, value)


def _numbers(names: str) -> list[tuple[str, type]]:
    return [(name, ctypes.c_int64) for name in names.split()]


def _pointers(names: str) -> list[tuple[str, type]]:
    return [(name, ctypes.c_void_p) for name in names.split()]


class ScanArguments(_Block):
    """`ScanArgs`: one direction of a scan, forward or backward."""

    _fields_ = [
        *_numbers("batch length channels states dtype softplus slices reverse threads segments groups"),
        *_pointers("u delta B C z A D bias"),
        *_numbers("u_batch u_row delta_batch delta_row B_batch B_row C_batch C_row z_batch z_row"),
        *_pointers("y sum"),
        *_numbers("first finish"),
        *_pointers("last kept dy"),
        *_numbers("dy_batch dy_row"),
        *_pointers("du ddelta dz dA dB dC dD dbias"),
    ]


class ConvArguments(_Block):
    """`ConvArgs`: one direction of a causal depthwise convolution, forward or backward."""

    _fields_ = [
        *_numbers("batch length channels taps dtype silu slices reverse threads"),
        *_pointers("x"),
        *_numbers("x_batch x_row"),
        *_pointers("weight bias out dout"),
        *_numbers("dout_batch dout_row"),
        *_pointers("dx"),
        *_numbers("first"),
        *_pointers("dweight dbias"),
    ]


class NormArguments(_Block):
    """`NormArgs`: statistics of a map, or their application."""

    _fields_ = [
        *_numbers("batch voxels channels dtype groups threads"),
        *_pointers("x"),
        *_numbers("x_batch x_row"),
        *_pointers("scale shift weight bias"),
        ("eps", ctypes.c_double),
        *_pointers("residual"),
        *_numbers("residual_batch residual_row"),
        *_pointers("residual_scale residual_shift"),
        ("inner", ctypes.c_double),
        ("outer", ctypes.c_double),
        *_pointers("out"),
        *_numbers("out_batch out_row"),
    ]


class WinogradArguments(_Block):
    """`WinogradArgs`: a convolution."""

    _fields_ = [
        *_numbers("batch depth height width channels outputs planes threads"),
        *_pointers("x weight bias out"),
    ]


class WarpArguments(_Block):
    """`WarpArgs`: an image read where a displacement leads, or the gradients of that."""

    _fields_ = [
        *_numbers("batch channels depth height width threads"),
        *_pointers("image displacement out dout dimage ddisplacement"),
    ]
