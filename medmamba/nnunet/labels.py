"""What a dataset.json says about labels, read as nnU-Net's LabelManager reads it, without importing nnU-Net."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataError

_IGNORE, _BACKGROUND = "ignore", "background"
_REMEDY = 'See "labels" in nnU-Net\'s description of dataset.json.'


@dataclass(frozen=True)
class Labels:
    """Labels or regions of a dataset."""

    values: Mapping[str, int | tuple[int, ...]]
    """Name -> label, or the labels of a region; "ignore" included."""
    foreground: tuple[int, ...]
    """All label values but the background and "ignore", ascending."""
    heads: int
    """Channels of a network's output."""
    regions_class_order: tuple[int, ...] | None
    """With regions: the value that each paints, in order."""


def read_labels(dataset: Mapping[str, Any]) -> Labels:
    """The labels of a dataset.json. DataError where nnU-Net would not take them."""
    values = {str(name): _value(name, value) for name, value in _entry(dataset, "labels").items()}
    if values.get(_BACKGROUND) != 0:
        raise DataError('The dataset.json has no label "background" of value 0.', _REMEDY)
    named = {name: value for name, value in values.items() if name != _IGNORE}
    every = sorted({label for value in named.values() for label in _members(value)})
    if _IGNORE in values and values[_IGNORE] != every[-1] + 1:
        raise DataError(f'The label "ignore" has to be the highest, {every[-1] + 1}, not {values[_IGNORE]}.', _REMEDY)
    foreground = tuple(label for label in every if label != 0)
    if not any(isinstance(value, tuple) and len(value) > 1 for value in values.values()):
        return Labels(values, foreground, len(every), None)
    regions = [name for name, value in named.items() if set(_members(value)) != {0}]
    order = dataset.get("regions_class_order")
    if not isinstance(order, Sequence) or len(order) != len(regions):
        found = "none" if order is None else order
        raise DataError(
            f"There are {len(regions)} regions and regions_class_order is {found}.",
            "It names the value that each region paints, in the order of the regions.",
        )
    return Labels(values, foreground, len(regions), tuple(int(value) for value in order))


def _entry(dataset: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    content = dataset.get(key)
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"The dataset.json has no {key!r}.", "Write it as nnU-Net's description of dataset.json says.")
    return content


def _value(name: str, value: Any) -> int | tuple[int, ...]:
    try:
        if isinstance(value, list | tuple):
            return tuple(int(label) for label in value)
        return int(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"Label {name!r} has the value {value!r}.", "It has to be a number or a list.") from error


def _members(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def channel_names(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the image's channels, in order: "modality" of older files, else "channel_names"."""
    content = _entry(dataset, "modality" if "modality" in dataset else "channel_names")
    return tuple(str(content[key]) for key in sorted(content, key=_number))


def _number(key: str) -> int:
    try:
        return int(key)
    except ValueError as error:
        raise DataError(f"The dataset.json has a channel {key!r}.", 'Channels are named "0", "1", ...') from error
