"""Label values: from those of a download to nnU-Net's 0, 1, 2, ... and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import DataError
from ..files import read_json, replacing
from .cards import Card

FILE_NAME = "label_map.json"
"""Beside dataset.json."""


class UnknownLabelError(DataError):
    """A label value without a name."""


@dataclass(frozen=True)
class LabelMap:
    """Raw label value -> nnU-Net's."""

    from_raw: Mapping[int, int]

    @classmethod
    def of(cls, card: Card) -> "LabelMap":
        """The map of a card, by label name. A raw name that `labels` does not have becomes background."""
        if not card.raw_labels:
            return cls({value: value for value in card.labels.values()})
        pairs = {0: 0} if "background" not in card.raw_labels else {}
        for name, raw in card.raw_labels.items():
            pairs |= dict.fromkeys(raw if isinstance(raw, tuple) else (raw,), card.labels.get(name, 0))
        return cls(pairs)

    @property
    def is_identity(self) -> bool:
        """Nothing changes."""
        return all(raw == value for raw, value in self.from_raw.items())

    @cached_property
    def _keys(self) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        """Raw values in ascending order, and what each becomes."""
        raw = sorted(self.from_raw)
        return np.array(raw, np.int64), np.array([self.from_raw[value] for value in raw], np.uint16)

    def apply(self, labels: NDArray[Any]) -> NDArray[np.uint8 | np.uint16]:
        """nnU-Net's values for an array of raw ones, any shape. UnknownLabelError for others and for fractions."""
        raw, values = self._keys
        whole = labels.astype(np.int64, copy=False) if labels.dtype.kind in "iub" else _whole(labels)
        places = np.searchsorted(raw, whole).clip(max=len(raw) - 1)
        if (strange := raw[places] != whole).any():
            shown = ", ".join(str(value) for value in np.unique(whole[strange])[:5])
            raise UnknownLabelError(f"has the label value(s) {shown}", f"Known: {', '.join(map(str, raw))}.")
        mapped = values[places]
        return mapped.astype(np.uint8) if values.max() < 256 else mapped


def _whole(labels: NDArray[Any]) -> NDArray[np.int64]:
    if not (finite := np.isfinite(labels)).all():
        raise UnknownLabelError(f"has {int((~finite).sum())} label value(s) that are NaN or infinite", "Mend the file.")
    rounded = np.rint(labels)
    if (off := rounded != labels).any():
        raise UnknownLabelError(f"has the label value {labels[off][0]:g}, which is no whole number", "Mend the file.")
    return rounded.astype(np.int64)


def description(card: Card) -> dict[str, Any]:
    """What label_map.json says: the card, for each of nnU-Net's values the raw one that stands for it, and codes."""
    if any(layout.label_kind == "instances" for layout in card.layout):
        return {"card": card.name, "kind": "instances", "object": card.labels["interior"]}
    raw = card.raw_labels or card.labels
    back = {}
    for name, value in card.labels.items():
        first = raw.get(name, 0)
        back[str(value)] = first[0] if isinstance(first, tuple) else first
    content: dict[str, Any] = {"card": card.name, "kind": "values", "to_raw": back}
    if card.codes:  # so that a model knows them wherever it goes
        content |= {"labels": dict(card.labels), "codes": {name: list(code) for name, code in card.codes.items()}}
        content |= {"abnormal": list(card.abnormal)}
    return content


def to_raw(labels: NDArray[Any], folder: Path) -> NDArray[Any]:
    """Label values as the dataset's download has them, for an array of nnU-Net's.

    `labels`: predicted label map of whole numbers, any shape. `folder`: where dataset.json and label_map.json lie.
    See `raw_values`; DataError also when label_map.json is missing.
    """
    return raw_values(labels, read_json(folder / FILE_NAME), str(folder / FILE_NAME))


def raw_values(labels: NDArray[Any], content: Mapping[str, Any], source: str = FILE_NAME) -> NDArray[Any]:
    """`to_raw` by the content of label_map.json; `source` is what an error calls it.

    Cells (kind "instances") become numbered objects, the connected parts of the interior. The dtype is the smallest
    that holds the values. DataError when the content names no such value.
    """
    if content["kind"] == "instances":
        from scipy.ndimage import generate_binary_structure, label

        numbered, count = label(labels == content["object"], generate_binary_structure(labels.ndim, labels.ndim))
        return np.asarray(numbered, np.min_scalar_type(count))
    back = {int(value): int(raw) for value, raw in content["to_raw"].items()}
    values = np.array([back.get(value, 0) for value in range(max(back) + 1)])
    if labels.size and (labels.min() < 0 or labels.max() >= len(values)):
        problem = f"The label map holds {labels.min()} to {labels.max()}, {source} 0 to {len(values) - 1}."
        raise DataError(problem, "Is it a prediction for this dataset?")
    kind = np.result_type(np.min_scalar_type(int(values.min())), np.min_scalar_type(int(values.max())))
    return values.astype(kind)[labels if labels.dtype.kind == "u" else labels.astype(np.intp)]


def to_raw_file(source: Path, folder: Path, target: Path) -> None:
    """Write a predicted label file with the raw values of the dataset in `folder`; geometry stays (see `to_raw`).

    `target` is replaced as a whole; it may be `source`, but then a second call would map the values twice.
    """
    try:
        image = sitk.ReadImage(str(source))
    except RuntimeError as error:
        raise DataError(f"{source} cannot be read as an image.", "Replace the file.") from error
    mapped = sitk.GetImageFromArray(to_raw(sitk.GetArrayFromImage(image), folder))
    mapped.CopyInformation(image)
    with replacing(target) as temporary:
        sitk.WriteImage(mapped, str(temporary), useCompression=True)
