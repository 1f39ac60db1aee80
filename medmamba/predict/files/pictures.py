"""Photographs and TIFF stacks: pixels without a place in the patient."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.check.file import UnusableError, readable
from ...data.check.geometry import numbers
from ...data.check.image import photograph, stack
from ...data.integrity import refusal
from ...errors import DataError
from ..recipe import Recipe
from .cases import Case, ending_of


def read_pictures(case: Case, recipe: Recipe) -> list[tuple[Path, NDArray[Any]]]:
    """Each file of a case with its pixels, (colours, z, y, x); photographs have one z, stacks one colour.

    Raises DataError where a file is no picture, sizes differ, or the colours are not as many as the model's channels.
    """
    parts: list[tuple[Path, NDArray[Any]]] = []
    for path in case.files:
        pixels = _picture(path) if recipe.reader == "flat" else _stack(path)
        if parts and pixels.shape[1:] != (first := parts[0][1]).shape[1:]:
            sizes = f"Has {numbers(pixels.shape[:0:-1])}, {parts[0][0].name} {numbers(first.shape[:0:-1])}."
            raise refusal(path, "channel-shape", sizes)
        parts.append((path, pixels))
    if (given := sum(len(pixels) for _, pixels in parts)) != (wanted := len(recipe.channels)):
        lacks = f"lacks {wanted - given} channel(s)" if given < wanted else f"has {given - wanted} channel(s) too many"
        raise DataError(
            f"Case {case.name} {lacks}: {', '.join(map(str, case.files))} hold(s) {given}.",
            f"The model takes {wanted}: {', '.join(recipe.channels)}. A colour picture holds 3, with transparency 4.",
        )
    return parts


def _pixels(path: Path, flat: bool) -> NDArray[Any]:
    """The array in a picture file; DataError where there is none."""
    try:
        with readable(path):
            pass
        return photograph(path) if flat else stack(path)
    except UnusableError as error:
        raise refusal(path, error.kind, error.text) from error
    except Exception as error:  # each plug-in of these readers has its own
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise refusal(path, "truncated" if "truncated" in text else "damaged", f"The reader says: {text}") from error


def _picture(path: Path) -> NDArray[Any]:
    """(colours, 1, y, x)."""
    pixels = _pixels(path, flat=True)
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        return pixels.transpose(2, 0, 1)[:, None]
    if pixels.ndim != 2:
        raise refusal(
            path, "dimensions", f"Has the shape {numbers(pixels.shape)}; a picture has two axes, and colours."
        )
    return pixels[None, None]


def _stack(path: Path) -> NDArray[Any]:
    """(1, z, y, x)."""
    pixels = _pixels(path, flat=False)
    if pixels.ndim != 3:
        raise refusal(path, "dimensions", f"Has the shape {numbers(pixels.shape)}; this model takes stacks of slices.")
    return pixels[None]


def stack_spacing(case: Case, recipe: Recipe, warnings: list[str]) -> tuple[float, float, float]:
    """mm, (z, y, x), from the .json file beside a stack, named like it without channel number.

    Without such a file 1 mm, and a warning. Raises DataError where the file tells none.
    """
    path = case.files[0]
    stem = path.name[: -len(ending_of(path, recipe)) or None]
    beside = path.with_name(f"{stem[:-5] if case.numbers and stem[-5:-4] == '_' else stem}.json")
    if not beside.is_file():
        warnings.append(f"{path}: no {beside.name} with its spacing; taken for 1 x 1 x 1 mm.")
        return 1.0, 1.0, 1.0
    try:
        given: Sequence[Any] = json.loads(beside.read_text(encoding="utf-8"))["spacing"]
        z, y, x = map(float, given)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{beside} gives no spacing.", 'Write {"spacing": [z, y, x]} in mm.') from error
    if not all(0 < size < np.inf for size in (z, y, x)):
        raise DataError(f"{beside} gives the spacing {numbers((z, y, x))} mm.", "Write the true one, in mm.")
    return z, y, x
