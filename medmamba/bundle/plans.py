"""Plans and dataset.json of a bundle, which come from outside: only known names, and no absurd sizes.

nnU-Net resolves names in its plans by importing them. Here each must be on a list before anything is built.
"""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

from ..networks import infos
from .layout import refused

_UNET = "dynamic_network_architectures.architectures.unet"
_BLOCKS = "dynamic_network_architectures.building_blocks.residual"
STOCK = tuple(f"{_UNET}.{name}" for name in ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet"))
"""nnU-Net's own networks."""
_LAYER = re.compile(
    r"torch\.nn\.(modules\.\w+\.)?((Conv|InstanceNorm|BatchNorm|Dropout)[23]d"
    r"|GroupNorm|LayerNorm|Dropout|LeakyReLU|ReLU|PReLU|ELU|GELU|SiLU|Identity)"
)
_LOCATED = (f"{_BLOCKS}.BasicBlockD", f"{_BLOCKS}.BottleneckD")
_RESAMPLING = tuple(f"resampling_fn_{kind}" for kind in ("data", "seg", "probabilities"))
_RESAMPLERS = (
    *("resample_data_or_seg_to_shape", "resample_torch_fornnunet"),
    *("resample_torch_simple", "no_resampling_hack"),
)
_MODES = ("linear", "nearest", "nearest-exact")
_NAMES: Mapping[str, tuple[str, ...]] = {
    "preprocessor_name": ("DefaultPreprocessor",),
    **dict.fromkeys(_RESAMPLING, _RESAMPLERS),
}
_TOP_NAMES: Mapping[str, tuple[str, ...]] = {
    "image_reader_writer": (
        *("SimpleITKIO", "SimpleITKIOWithReorient", "NibabelIO", "NibabelIOWithReorient"),
        *("NaturalImage2DIO", "Tiff3DIO"),
    ),
    "label_manager": ("LabelManager",),
}
_NORMALIZATIONS = tuple(f"{name}Normalization" for name in ("ZScore", "CT", "No", "RescaleTo01", "RGBTo01"))
_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,8}){1,2}")
_ORDERS = [list(order) for order in permutations(range(3))]
_MOST = 1 << 16
"""No width, patch size or other number of a network is larger."""
_MOST_VOXELS = 1 << 28
_MOST_ENTRIES = 64
"""Of one list."""
_MOST_OPTION = 64
"""No number among a resampling's options is larger."""


def classes() -> tuple[str, ...]:
    """Full names of the networks that a bundle may carry."""
    return (*(info.class_path for info in infos()), *STOCK)


def check_class(path: object) -> None:
    """Raise BundleError unless it is the full name of one of our networks or of nnU-Net's."""
    if path not in classes():
        raise refused(f"names {path!r} as its network, which is none of medmamba's or nnU-Net's; nothing was run")


def check_plans(plans: Mapping[str, Any], configuration: str) -> None:
    """Raise BundleError for plans that name code, or give sizes, that no model's plans have."""
    there = plans.get("configurations")
    if not isinstance(there, dict) or list(there) != [configuration] or not isinstance(there[configuration], dict):
        raise refused(f"has plans that are not of the one configuration {configuration!r}")
    chosen = there[configuration]
    architecture = chosen.get("architecture")
    if not isinstance(architecture, dict) or not isinstance(architecture.get("arch_kwargs"), dict):
        raise refused("has plans without the arguments of a network")
    check_class(architecture.get("network_class_name"))
    _check_imports(architecture)
    _check_names(plans, _TOP_NAMES)
    _check_names(chosen, _NAMES)
    _check_options(chosen)
    for scheme in _list(chosen, "normalization_schemes"):
        if scheme not in _NORMALIZATIONS:
            raise refused(f"asks for the normalization {scheme!r}, which nnU-Net does not have")
    check_sizes(architecture["arch_kwargs"])
    patch = _list(chosen, "patch_size")
    if not all(type(size) is int and size > 0 for size in patch) or math.prod(patch) > _MOST_VOXELS:
        raise refused(f"has a patch size that cannot be, {patch}")
    _check_geometry(plans, _list(chosen, "spacing"), len(patch))


def check_dataset(dataset: Mapping[str, Any]) -> None:
    """Raise BundleError for a file ending that is more than one: it becomes part of the names of files."""
    ending = dataset.get("file_ending")
    if not isinstance(ending, str) or not _ENDING.fullmatch(ending):
        raise refused(f"has a dataset.json with the file ending {ending!r}, which no image has")


def _check_geometry(plans: Mapping[str, Any], spacing: list[Any], axes: int) -> None:
    if len(spacing) != axes or not all(type(step) in (int, float) and 0 < step < _MOST for step in spacing):
        raise refused(f"has a spacing that cannot be, {spacing}")
    forward, backward = (plans.get(f"transpose_{way}", [0, 1, 2]) for way in ("forward", "backward"))
    undone = [forward[axis] for axis in backward] if forward in _ORDERS and backward in _ORDERS else None
    if undone != [0, 1, 2]:
        raise refused("has plans whose transpose_forward and transpose_backward do not undo each other")


def _check_imports(architecture: Mapping[str, Any]) -> None:
    arguments, named = architecture["arch_kwargs"], architecture.get("_kw_requires_import", [])
    if not isinstance(named, list):
        raise refused("has plans whose _kw_requires_import is no list")
    for key in named:
        value = arguments.get(key) if isinstance(key, str) else key
        if value is not None and not (isinstance(value, str) and (_LAYER.fullmatch(value) or value in _LOCATED)):
            raise refused(f"asks to import {value!r} for its network's {key}; only layers of torch.nn are")


def _check_names(content: Mapping[str, Any], known: Mapping[str, tuple[str, ...]]) -> None:
    for key, names in known.items():
        if key in content and content[key] not in names:
            raise refused(f"asks for {content[key]!r} as {key}, which nnU-Net does not have")


def _check_options(configuration: Mapping[str, Any]) -> None:
    """Options of the resampling functions: a thousand threads would be one."""
    for kind in _RESAMPLING:
        options = configuration.get(f"{kind}_kwargs") or {}
        if not isinstance(options, dict):
            raise refused(f"has plans whose {kind}_kwargs are no options")
        for key, value in options.items():
            small = isinstance(value, int | float) and 0 <= value <= _MOST_OPTION
            if not (value is None or small or value in _MODES):
                raise refused(f"asks for {key} = {value!r} in {kind}_kwargs, which nnU-Net does not take")


def _list(content: Mapping[str, Any], key: str) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_ENTRIES:
        raise refused(f"has plans without a usable {key}")
    return value


def check_sizes(arguments: Mapping[str, Any]) -> None:
    """Raise BundleError for numbers and lists in a network's arguments that no network has."""
    for key, value in _leaves(arguments, "arguments"):
        if isinstance(value, int | float) and abs(value) > _MOST:
            raise refused(f"has a network with {key} = {value}; numbers above {_MOST} are not taken")


def count_layers(arguments: Mapping[str, Any]) -> int:
    """At least how many layers the arguments ask for: what the lists and numbers of blocks add up to."""
    counted = ("n_conv", "n_blocks", "n_stages", "depths", "blocks", "stages", "mamba_layers")
    return sum(
        value for key, value in _leaves(arguments, "") if type(value) is int and key.startswith(counted) and value > 0
    )


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        if len(value) > _MOST_ENTRIES:
            raise refused(f"has a network with {len(value)} values for {key}; at most {_MOST_ENTRIES} are taken")
        pairs = value.items() if isinstance(value, dict) else ((key, one) for one in value)
        for inner, one in pairs:
            yield from _leaves(one, inner)
    else:
        yield key, value
