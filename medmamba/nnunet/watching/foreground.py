"""The names of what a network is to find, in the order of its outputs."""

from collections.abc import Mapping
from typing import Any


def foreground_names(label_manager: Any) -> tuple[str, ...]:
    """Names of the foreground labels (by value) or of the regions (as dataset.json lists them), as nnU-Net scores them.

    `label_manager` is nnU-Net's. A label that a list of several makes known has no name of its own: `label 3`.
    """
    labels: Mapping[str, Any] = label_manager.label_dict
    if label_manager.has_regions:
        return tuple(name for name, values in labels.items() if name != "ignore" and _values(values) != {0})
    names = {min(_values(values)): name for name, values in labels.items()}
    return tuple(names.get(int(value), f"label {value}") for value in label_manager.foreground_labels)


def _values(values: Any) -> set[int]:
    """The label values behind one name of dataset.json: a number or a list of numbers."""
    return {int(value) for value in values} if isinstance(values, list | tuple) else {int(values)}
