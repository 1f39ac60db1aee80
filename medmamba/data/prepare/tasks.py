"""What has to be done to turn the cases of a download into an nnU-Net dataset, file by file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cards import Card
from ..labelmaps import LabelMap
from ..layouts import FLAT_KINDS, Layout
from .match import Found

AS_IS = "as-is"
"""The action of a file that needs no change: it is linked or copied."""


@dataclass(frozen=True)
class Task:
    """One or more files of the dataset that are made together."""

    action: str
    """`AS_IS`, or what `convert` takes."""
    sources: tuple[Path, ...]
    targets: tuple[str, ...]
    """Paths below the dataset's folder."""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def how(self) -> str:
        """Everything beside the sources that decides the result."""
        return f"{self.action} {json.dumps(self.options)}"


def tasks(case: Found, card: Card) -> list[Task]:
    """All files of a case: its channels, and its label where it has one."""
    part = "Tr" if case.layout.trained_on else "Ts"
    channels = tuple(
        f"images{part}/{case.name}_{place:04d}{card.file_ending}" for place in range(channel_files(case.layout, card))
    )
    label = f"labels{part}/{case.name}{card.file_ending}"
    return [*_images(case, channels, card), *([_label(case, label, card)] if case.labels else [])]


def channel_files(layout: Layout, card: Card) -> int:
    """How many image files a case has: a colour picture holds its channels in one."""
    return 1 if layout.kind in FLAT_KINDS else len(card.channels)


def _images(case: Found, targets: tuple[str, ...], card: Card) -> Iterator[Task]:
    layout = case.layout
    if layout.kind == "volume":
        for sources, target in zip(case.images, targets, strict=True):
            yield Task(AS_IS if sources[0].name.endswith(card.file_ending) else "reformat", sources, (target,))
    elif layout.kind in FLAT_KINDS:
        options = {"channels": len(card.channels), "crop": layout.crop, "intensity": layout.intensity}
        yield Task("picture", case.images[0], targets, options)
    else:
        yield Task(layout.kind, case.images[0], targets)


def _label(case: Found, target: str, card: Card) -> Task:
    layout = case.layout
    sources = tuple(path for _, path in case.labels)
    if layout.label_kind == "masks":
        ordered = sorted((card.labels[label], path) for label, path in case.labels)
        values, sources = [value for value, _ in ordered], tuple(path for _, path in ordered)
        options: dict[str, Any] = {"values": values, "threshold": layout.threshold}
    elif layout.label_kind == "binary":
        options = {"threshold": layout.threshold}
    elif layout.label_kind == "instances":
        options = {}
    else:
        values_of = LabelMap.of(card)
        same_format = sources[0].name.endswith(card.file_ending) and layout.kind in ("volume", "time")
        if values_of.is_identity and same_format:
            return Task(AS_IS, sources, (target,))
        options = {"values": sorted(values_of.from_raw.items())}
    if layout.kind == "clip":
        options["clip"] = True
    if layout.crop:
        options["crop"] = layout.crop
    return Task(layout.label_kind, sources, (target,), options)
