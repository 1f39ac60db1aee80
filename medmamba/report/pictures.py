"""The pictures of a case: three planes with the outlines of reference and prediction on top."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cases import Loaded
from .contours import outline
from .views import PLANES, SIDES, Place, Window, field, place, shown, window

_MOST_PIXELS = 320
"""Along the longer side of a picture; larger ones are averaged down."""
_BARS = (1, 2, 5, 10, 20, 50, 100, 200)
"""mm, of the scale bar."""
_MOST_CHANNELS = 4


@dataclass(frozen=True)
class Outline:
    """One structure in one picture."""

    value: int
    path: str
    kind: str
    """reference or prediction."""


@dataclass(frozen=True)
class Panel:
    """One picture; lengths in mm, or in pixels where the image has none."""

    plane: str
    """axial, coronal, sagittal, or image."""
    caption: str
    png: str
    """base64."""
    width: float
    height: float
    outlines: tuple[Outline, ...] = ()
    sides: str = ""
    """Letters of the left, right, upper, lower edge."""
    bar: float = 0.0
    """Length of the scale bar; the planes of a case have one scale, so that the first bar is enough."""


@dataclass(frozen=True)
class Pictures:
    """All of a case."""

    panels: tuple[Panel, ...]
    others: tuple[Panel, ...]
    """The other channels, without outlines."""
    sentences: tuple[str, ...]
    """What they show, and what is missing."""
    values: tuple[int, ...]
    """Label values to be seen in the panels."""
    place: Place
    channel: int | None
    """Place of the channel that is shown; None without an image."""
    window: Window | None


def draw(case: Loaded, channels: Sequence[str] = ()) -> Pictures:
    """The pictures of a case that has at least one file. `channels`: names of the image's channels."""
    found, truth = case.found, case.truth
    masks = [one for one in (truth, found) if one is not None]
    at = place(found, truth, case.spacing)
    part = field(masks, case.size, case.spacing)
    best = _clearest(case, masks)
    grey = None if best is None else window(case.images[best], masks, _name(channels, best))
    planes = PLANES[:1] if case.size[2] == 1 else PLANES
    panels = [_panel(case, at, part, plane, axis, best, grey) for plane, axis in planes]
    panels[0] = replace(panels[0], bar=_bar(panels[0].width) if case.measured else 0.0)
    rest = [number for number in range(len(case.images)) if number != best][: _MOST_CHANNELS - 1]
    others = tuple(_channel(case, at, part, number, masks, channels) for number in rest)
    values = sorted({one.value for panel in panels for one in panel.outlines})
    sentences = _sentences(case, at, grey, _channel_name(channels, best) if best is not None and rest else "")
    return Pictures(tuple(panels), others, sentences, tuple(values), at, best, grey)


def _sentences(case: Loaded, at: Place, grey: Window | None, channel: str) -> tuple[str, ...]:
    first = f"Cut {at.text}." if case.size[2] > 1 else ""
    shade = "" if grey is None else f"{channel + ', ' if channel else ''}{grey.text}"
    return tuple(one for one in (first, shade[:1].upper() + shade[1:] + "." if shade else "", *case.sentences) if one)


def _name(channels: Sequence[str], number: int | None) -> str:
    return channels[number] if number is not None and number < len(channels) else ""


def _channel_name(channels: Sequence[str], number: int) -> str:
    return _name(channels, number) or f"channel {number}"


def _clearest(case: Loaded, masks: Sequence[NDArray[Any]]) -> int | None:
    """The channel in which what is marked differs most from what surrounds it; None without an image."""
    if not case.images:
        return None
    marked = next((mask > 0 for mask in masks if (mask > 0).any()), None)
    if len(case.images) == 1 or marked is None:
        return 0
    part = field(masks, case.size, case.spacing)
    inside = marked[part]
    best, most = 0, -1.0
    for number, image in enumerate(case.images):
        values = image.voxels[part].astype(np.float32)
        if values.ndim > 3 or not (ring := (body := values != values.min()) & ~inside).any():
            continue
        contrast = abs(float(values[inside].mean() - values[ring].mean())) / (float(values[body].std()) + 1e-6)
        if contrast > most:
            best, most = number, contrast
    return best


def _panel(
    case: Loaded, at: Place, part: Sequence[slice], plane: str, axis: int, channel: int | None, grey: Window | None
) -> Panel:
    columns, rows = ((0, 1), (0, 2), (1, 2))[2 - axis]
    step = case.spacing[columns], case.spacing[rows]
    size = tuple(part[one].stop - part[one].start for one in (columns, rows))
    cut = [slice(None) if one == axis else part[one] for one in range(3)]

    def view(volume: NDArray[Any]) -> NDArray[Any]:
        cut[axis] = slice(at.at[axis], at.at[axis] + 1)
        return shown(volume[tuple(cut)], axis, 0)

    pixels = np.zeros((size[1], size[0]), np.uint8)
    if channel is not None and grey is not None:
        pixels = view(case.images[channel].voxels)
        pixels = pixels if pixels.ndim == 3 and pixels.dtype == np.uint8 else grey.apply(pixels)
    lines = []
    for kind, labels in (("reference", case.truth), ("prediction", case.found)):
        flat = None if labels is None else view(labels)
        for value in [] if flat is None else np.unique(flat[flat > 0]).tolist():
            lines.append(Outline(value, outline(flat == value, step[1], step[0]), kind))
    flat_image = case.size[2] == 1
    count = case.size[axis]
    caption = "" if flat_image else f"slice {at.at[axis] + 1} of {count}"
    width, height = size[0] * step[0], size[1] * step[1]
    name = "image" if flat_image else plane if case.placed else f"cut {'xyz'[axis]}"
    sides = SIDES[plane] if case.placed and not flat_image else ""
    return Panel(name, caption, png(_reduced(pixels)), width, height, tuple(lines), sides)


def _channel(
    case: Loaded, at: Place, part: Sequence[slice], number: int, masks: Sequence[NDArray[Any]], channels: Sequence[str]
) -> Panel:
    """The axial plane of another channel."""
    one = _panel(case, at, part, "axial", 2, number, window(case.images[number], masks, _name(channels, number)))
    return Panel(_channel_name(channels, number), "", one.png, one.width, one.height, (), one.sides)


def _bar(width: float) -> float:
    """The longest scale bar that takes at most a third of the picture."""
    return float(max((one for one in _BARS if one <= width / 3), default=0))


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At most _MOST_PIXELS along each side: blocks of pixels averaged."""
    factors = [math.ceil(size / _MOST_PIXELS) for size in pixels.shape[:2]]
    if max(factors) == 1:
        return pixels
    from skimage.transform import resize

    size = [math.ceil(length / factor) for length, factor in zip(pixels.shape, factors, strict=False)]
    small = resize(pixels, (*size, *pixels.shape[2:]), order=1, anti_aliasing=True, preserve_range=True)
    return np.rint(small).astype(np.uint8)


def png(pixels: NDArray[np.uint8]) -> str:
    """(Y, X) grey or (Y, X, 3) colours as a PNG file without any text in it, base64."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")
