"""A network's weights as safetensors: each tensor once, tied entries restored when they are loaded."""

import struct
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import DataError
from .layout import parse, refused

HEADER_BYTES = 4 << 20
"""Most bytes of a safetensors header; one tensor takes about a hundred."""
_MOST_AXES = 8
_OWN_NETWORK = "A trainer that builds another network than the plans say makes models that cannot be bundles."
_PICKLES = {b"PK\x03\x04": "a zip archive, as torch.save writes", b"\x80": "a pickle"}
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8,
}  # fmt: skip


def aliases(network: nn.Module) -> dict[str, str]:
    """Entry of the state dict -> the first entry that is the same tensor; itself for most."""
    first: dict[int, str] = {}
    return {key: first.setdefault(id(tensor), key) for key, tensor in network.state_dict(keep_vars=True).items()}


def without_aliases(network: nn.Module, state: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The entries of a state dict that `network` has, each tensor once, in the dtype that it has.

    DataError when entries are missing, of another shape, or differ although the network ties them.
    """
    own, kept = aliases(network), {}
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    for key, first in own.items():
        tensor = state.get(key)
        if tensor is None or tensor.shape != shapes[key]:
            raise DataError(f"{where} does not fit its network: {key} is missing or of another shape.", _OWN_NETWORK)
        if first == key:
            kept[key] = tensor.detach().cpu().contiguous().clone()
        elif not torch.equal(tensor.cpu(), kept[first]):
            raise DataError(
                f"{where} has different weights in {key} and {first}, which its network shares.", _OWN_NETWORK
            )
    return kept


def restored(network: nn.Module, state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The whole state dict of `network` from the file's entries; BundleError when they are not exactly its own."""
    own = aliases(network)
    needed = {key for key, first in own.items() if key == first}
    for verb, keys in (("lacks", needed - set(state)), ("has besides the network's", set(state) - needed)):
        if keys:
            raise refused(f"has weights of another network in {name}: it {verb} {len(keys)}, as {min(keys)!r}")
    for key, tensor in network.state_dict().items():
        given = state[own[key]]
        if given.shape != tensor.shape or given.is_floating_point() != tensor.is_floating_point():
            raise refused(
                f"has weights of another network in {name}: {key} is {tuple(given.shape)} of {given.dtype}, "
                f"where the network has {tuple(tensor.shape)} of {tensor.dtype}"
            )
    return {key: state[first] for key, first in own.items()}


def serialise_weights(state: Mapping[str, Tensor]) -> bytes:
    """The content of a .safetensors file; the same for the same tensors."""
    from safetensors.torch import save

    return save(dict(state))


def parse_weights(raw: bytes, name: str) -> dict[str, Tensor]:
    """The tensors in the content of a .safetensors file, on the CPU. Raises BundleError for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    check_header(raw, name)
    try:
        return load(raw)
    except (SafetensorError, ValueError, TypeError, KeyError, AssertionError, RuntimeError) as error:
        raise refused(f"has a {name} that is no safetensors file: {error}") from error


def check_header(raw: bytes, name: str) -> None:
    """Refuse what is no safetensors file, or one whose header is out of bounds, before a library parses it."""
    if len(raw) < 8:
        raise refused(f"has a {name} of {len(raw)} bytes, which is no safetensors file")
    (length,) = struct.unpack("<Q", raw[:8])
    for magic, kind in _PICKLES.items():
        if raw.startswith(magic) and length > HEADER_BYTES:  # else these bytes are a length after all
            raise refused(f"has a {name} that is {kind}: it could run code, and is not read")
    if length > HEADER_BYTES:
        raise refused(f"has a {name} with a header of {length} bytes; at most {HEADER_BYTES} are read")
    if 8 + length > len(raw):
        raise refused(f"has a {name} whose header is longer than the file")
    header = parse(raw[8 : 8 + length], name)
    header.pop("__metadata__", None)
    end = 0
    for key, entry in sorted(header.items(), key=lambda one: _start(one[0], one[1], name)):
        start, stop = entry["data_offsets"]
        if start != end or stop - start != _bytes(entry):
            raise refused(f"has a {name} in which {key!r} takes other bytes than its shape does")
        end = stop
    if 8 + length + end != len(raw):
        raise refused(f"has a {name} with bytes that belong to no tensor")


def _start(key: str, entry: Any, name: str) -> tuple[int, int]:
    """Where a tensor begins and ends, once the entry is known to be one."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"} or entry["dtype"] not in _BITS:
        raise refused(f"has a {name} in which {key!r} is no tensor of a dtype that networks have")
    for numbers in (entry["shape"], entry["data_offsets"]):
        if not isinstance(numbers, list) or not all(type(one) is int and one >= 0 for one in numbers):
            raise refused(f"has a {name} in which {key!r} has sizes that are no whole numbers")
    if len(entry["shape"]) > _MOST_AXES:
        raise refused(f"has a {name} in which {key!r} has {len(entry['shape'])} axes")
    if len(entry["data_offsets"]) != 2:
        raise refused(f"has a {name} in which {key!r} has no beginning and end")
    return entry["data_offsets"][0], entry["data_offsets"][1]


def _bytes(entry: Mapping[str, Any]) -> int:
    count = 1
    for size in entry["shape"]:
        count *= size
    return count * _BITS[entry["dtype"]] // 8
