"""A download in small, made from a card's own layout: random images and labels under the names that it gives."""

import csv
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from medmamba.data.cards import Card
from medmamba.data.layouts import PLACEHOLDER, Layout

if sys.version_info >= (3, 11):
    import re._constants as regex
    import re._parser as parser
else:
    import sre_constants as regex
    import sre_parse as parser

SHAPE = (4, 7, 8)
"""Volume: z, y, x."""
FRAMES = 3
_DIRECTION = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
"""A quarter turn about z: no identity, and exact in any file format."""


@dataclass
class Truth:
    """One case as it must come out."""

    name: str
    layout: Layout
    channels: list[np.ndarray]
    """One array a channel: (z, y, x), or (height, width); a colour picture is one array (height, width, 3)."""
    label: np.ndarray | None
    """nnU-Net's values."""
    files: list[Path] = field(default_factory=list)
    """What the case consists of in the download, images first."""


def build(card: Card, source: Path, cases: int = 3, seed: int = 0) -> dict[str, Truth]:
    """Write a small download and return its cases by name: `cases` of the first layout, one of each other."""
    maker = _Maker(card, source, np.random.default_rng(seed), random.Random(seed))
    for place, layout in enumerate(card.layout):
        for _ in range(cases if not place else 1):
            maker.add(layout)
    maker.write_tables()
    return maker.truths


class _Maker:
    def __init__(self, card: Card, source: Path, numbers: np.random.Generator, choices: random.Random) -> None:
        self.card, self.source, self.numbers, self.choices = card, source, numbers, choices
        self.truths: dict[str, Truth] = {}
        self.used: dict[str, set[str]] = {}
        self.tables: dict[Path, list[tuple[Layout, str]]] = {}

    def add(self, layout: Layout) -> None:
        root = self.source / layout.root[0].replace("*", "")
        names = PLACEHOLDER.findall(layout.images[0])
        values = {name: self._value(name, layout) for name in dict.fromkeys(names) if name != "frame"}
        if layout.select:
            self.tables.setdefault(root / layout.select.file, []).append((layout, values[names[0]]))
        images = [root / _filled(pattern, values) for pattern in layout.images]
        truth = Truth(layout.name.format(**values), layout, [], None)
        self.truths[truth.name] = truth
        getattr(self, f"_{layout.kind}")(truth, images)
        if layout.label:
            self._label(truth, [root / _filled(pattern, values) for pattern in layout.label])

    def _value(self, name: str, layout: Layout) -> str:
        """What a placeholder stands for: new each time, and what `where` allows."""
        used = self.used.setdefault(name, set())
        tree = parser.parse(layout.where.get(name, "c[0-9]{3}"))
        for _ in range(1000):
            if (text := "".join(_generated(tree, self.choices))) not in used:
                used.add(text)
                return text
        raise AssertionError(f"{layout.where[name]} allows too few names")

    def write_tables(self) -> None:
        for path, rows in self.tables.items():
            select = rows[0][0].select
            assert select is not None
            with path.open("w", newline="") as file:
                table = csv.writer(file, delimiter=select.delimiter)
                table.writerow((select.key, "more", select.column))
                table.writerows((key, "x", layout.select.values[0]) for layout, key in rows if layout.select)

    def _volume(self, truth: Truth, images: list[Path]) -> None:
        for path in images:
            truth.channels.append(self.numbers.integers(0, 1000, SHAPE).astype(np.int16))
            truth.files.append(_write(truth.channels[-1], path))

    def _time(self, truth: Truth, images: list[Path]) -> None:
        truth.channels = list(self.numbers.normal(size=(len(self.card.channels), *SHAPE)).astype(np.float32))
        volumes = [_placed(channel) for channel in truth.channels]
        images[0].parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.JoinSeries(volumes, 0.0, 1.0), str(images[0]))
        truth.files.append(images[0])

    def _flat(self, truth: Truth, path: Path, channels: int) -> None:
        crop = truth.layout.crop or (0, 0, 24, 20)
        height, width = crop[1] + crop[3], crop[0] + crop[2]
        small = self.numbers.integers(0, 256, (height // 20 + 1, width // 24 + 1, channels)).astype(np.uint8)
        pixels = small.repeat(20, 0).repeat(24, 1)[:height, :width]
        truth.files.append(_write_flat(pixels.squeeze(), path))
        read = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))  # jpg is lossy
        truth.channels.append(_cut(read, truth.layout))

    def _rgb(self, truth: Truth, images: list[Path]) -> None:
        self._flat(truth, images[0], 3)

    def _grey(self, truth: Truth, images: list[Path]) -> None:
        self._flat(truth, images[0], 1)

    def _clip(self, truth: Truth, images: list[Path]) -> None:
        frames = []
        for path in _frames(images[0]):
            pixels = np.full((20, 24, 3), self.numbers.integers(0, 256, 3), np.uint8)
            truth.files.append(_write_flat(pixels, path))
            frames.append(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
        truth.channels = list(np.moveaxis(np.stack(frames), -1, 0))

    def _label(self, truth: Truth, paths: list[Path]) -> None:
        layout, shape = truth.layout, truth.channels[0].shape
        if layout.kind in ("rgb", "grey") and layout.crop:
            shape = (layout.crop[1] + layout.crop[3], layout.crop[0] + layout.crop[2])
        kind = {"map": self._values, "masks": self._masks, "binary": self._binary, "instances": self._cells}
        label = kind[layout.label_kind](truth, shape[:2] if layout.kind in ("rgb", "grey") else shape, paths)
        truth.label = _cut(label, layout)

    def _values(self, truth: Truth, shape: tuple[int, ...], paths: list[Path]) -> np.ndarray:
        """Every raw value somewhere, those of names that are not learnt too."""
        pairs = [(value, value) for value in self.card.labels.values()]
        if self.card.raw_labels:
            raw = {
                name: values if isinstance(values, tuple) else (values,)
                for name, values in self.card.raw_labels.items()
            }
            pairs = [(value, self.card.labels.get(name, 0)) for name, values in raw.items() for value in values]
        where = self.numbers.permutation(np.arange(np.prod(shape)) % len(pairs)).reshape(shape)
        raw_map, label = (np.array([pair[end] for pair in pairs])[where] for end in (0, 1))
        self._write_label(raw_map.astype(np.int16 if raw_map.min() < 0 else np.uint16), truth, paths[0])
        return label

    def _masks(self, truth: Truth, shape: tuple[int, ...], paths: list[Path]) -> np.ndarray:
        label = np.zeros(shape, np.uint16)
        for name, value in self.card.labels.items():
            if not value:
                continue
            text = truth.layout.mask_names.get(name, (name,))[0].replace("*", "")
            mask = self._random(shape) < 0.2
            label[mask] = value
            self._write_label(mask.astype(np.uint8) * 255, truth, Path(str(paths[0]).replace("{label}", text)))
        return label

    def _binary(self, truth: Truth, shape: tuple[int, ...], paths: list[Path]) -> np.ndarray:
        union = np.zeros(shape, bool)
        for path in paths:
            mask = self._random(shape) < 0.3
            if path.suffix in (".jpg", ".jpeg"):
                mask = np.broadcast_to(mask[..., :1, :1], shape)  # what a lossy file keeps
            union |= mask
            self._write_label(mask.astype(np.uint8) * 255, truth, path)
        return union.astype(np.uint8)

    def _random(self, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers in 0..1; in large pictures alike in blocks, which are quicker to write."""
        if len(shape) == 3 or shape[1] < 100:
            return self.numbers.random(shape)
        blocks = self.numbers.random((shape[0] // 20 + 1, shape[1] // 20 + 1))
        return blocks.repeat(20, 0).repeat(20, 1)[: shape[0], : shape[1]]

    def _cells(self, truth: Truth, shape: tuple[int, ...], paths: list[Path]) -> np.ndarray:
        cells = np.zeros(shape, np.uint16)
        cells[2:10, 2:10], cells[2:10, 10:18], cells[12:18, 3:9] = 1, 2, 700
        self._write_label(cells, truth, paths[0])
        inside = np.zeros(shape, np.uint8)  # of 700, 2x2 pixels are left: too few
        inside[4:8, 4:8] = inside[4:8, 12:16] = 1
        return inside

    def _write_label(self, label: np.ndarray, truth: Truth, path: Path) -> None:
        if truth.layout.kind == "clip":
            parts = zip(label, _frames(path), strict=True)
            truth.files += [_write_flat(part, frame) for part, frame in parts]
        elif truth.layout.kind in ("rgb", "grey"):
            truth.files.append(_write_flat(label, path))
        else:
            truth.files.append(_write(label, path))


def _generated(tree: Any, choices: random.Random) -> Iterator[str]:
    """The characters of a random text that a parsed regular expression matches."""
    for kind, value in tree:
        if kind is regex.LITERAL:
            yield chr(value)
        elif kind is regex.IN:
            yield from _generated([choices.choice(value)], choices)
        elif kind is regex.RANGE:
            yield chr(choices.randint(*value))
        elif kind is regex.CATEGORY:
            yield choices.choice("0123456789")
        elif kind is regex.ANY:
            yield choices.choice("abc")
        elif kind in (regex.MAX_REPEAT, regex.MIN_REPEAT):
            least, most, part = value
            for _ in range(min(most, max(least, 3))):
                yield from _generated(part, choices)
        elif kind is regex.SUBPATTERN:
            yield from _generated(value[-1], choices)
        elif kind is regex.BRANCH:
            yield from _generated(choices.choice(value[1]), choices)
        else:
            raise AssertionError(f"this test's generator does not know {kind}")


def _filled(pattern: str, values: dict[str, str]) -> str:
    text = PLACEHOLDER.sub(lambda name: values.get(name[1], name[0]), pattern.replace("**/", ""))
    return text + "png" if text.endswith(".") else text.replace(".*", ".png").replace("*", "")


def _frames(path: Path) -> list[Path]:
    return [Path(str(path).replace("{frame}", f"{frame + 8}")) for frame in range(FRAMES)]  # 8, 9, 10


def _placed(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.75, 1.25, 3.0))
    image.SetOrigin((-11.5, 20.25, 7.0))
    image.SetDirection(_DIRECTION)
    return image


def _write(array: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(_placed(array), str(path))
    return path


def _write_flat(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3), str(path))
    return path


def _cut(array: np.ndarray, layout: Layout) -> np.ndarray:
    if not layout.crop:
        return array
    x, y, width, height = layout.crop
    return array[y : y + height, x : x + width]
