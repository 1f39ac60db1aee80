"""Cases against each other: copies, leaks, and what is unlike the rest."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from .cases import CaseResult
from .dataset_json import Description
from .findings import Finding
from .image import Examined

_FEWEST = 4
"""Cases that it takes to call one of them unlike the others."""
_SIGMAS = 6.0
"""Robust standard deviations away from the median."""
_FACTOR = 5.0
"""How many times wider or narrower a range of intensities must be as well."""
_SHIFT = 1.0
"""By how many typical interquartile ranges the median must be off as well."""
_FEW = 0.1
"""Share of the cases."""
_SHARED_SCALE = ("ct", "nonorm")
"""Channel names for which nnU-Net scales all cases alike."""


def across(results: Sequence[CaseResult], description: Description) -> list[Finding]:
    """Findings that no case shows by itself."""
    return [
        *_copies(results),
        *_dimensions(results),
        *([] if description.reader == "NibabelIOWithReorient" else _orientations(results)),
        *_spacings(results),
        *_intensities(results, description),
        *_never(results, description),
    ]


def _first(result: CaseResult) -> Examined | None:
    """The first channel that can be used."""
    return next((one for one in result.channels.values() if one.usable), None)


def _copies(results: Sequence[CaseResult]) -> Iterator[Finding]:
    """Channels with the same pixels in two cases; once for each pair of cases."""
    seen: dict[tuple[int, str], CaseResult] = {}
    told: set[tuple[str, str]] = set()
    for result in results:
        for number, one in result.channels.items():
            if one.values is None or one.values.low == one.values.high or one.values.not_finite:
                continue
            before = seen.setdefault((number, one.values.digest), result)
            pair = (before.case.name, result.case.name)
            if before is result or pair in told:
                continue
            told.add(pair)
            leak = before.case.split != result.case.split
            text = f"The same pixels as {before.case.images[number].name} ({before.case.split}), voxel for voxel."
            yield Finding("leak" if leak else "duplicate", result.case.name, one.path, text)


def _dimensions(results: Sequence[CaseResult]) -> Iterator[Finding]:
    counts = {result.case.name: len(one.shape) for result in results if (one := _first(result))}
    usual = _usual(list(counts.values()))
    for result in results:
        one = _first(result)
        if one is not None and len(one.shape) != usual:
            text = f"It has {len(one.shape)} dimensions, the others {usual}."
            yield Finding("mixed-dimensions", result.case.name, one.path, text)


def _usual(values: Sequence[object]) -> object:
    return Counter(values).most_common(1)[0][0] if values else None


def _orientations(results: Sequence[CaseResult]) -> Iterator[Finding]:
    axes = {
        result.case.name: one.geometry.axes
        for result in results
        if (one := _first(result)) and one.geometry is not None and len(one.shape) == 3
    }
    usual = _usual(list(axes.values()))
    share = sum(code == usual for code in axes.values())
    for result in results:
        code = axes.get(result.case.name)
        if code is not None and code != usual:
            one = _first(result)
            text = f"Its axes run {code}; those of {share} of {len(axes)} cases run {usual}."
            yield Finding("orientation", result.case.name, one.path if one else None, text)


def _spacings(results: Sequence[CaseResult]) -> Iterator[Finding]:
    """Voxel sizes ten times those of the other cases: metres or micrometres, or a lost digit."""
    known = [(result, one) for result in results if (one := _first(result)) and one.geometry is not None]
    for dimensions in (2, 3):
        group = [(result, one) for result, one in known if len(one.shape) == dimensions]
        if len(group) < _FEWEST:
            continue
        sizes = np.array([sorted(one.geometry.spacing) for _, one in group if one.geometry])
        usual = np.median(sizes, axis=0)
        for (result, one), size in zip(group, sizes, strict=True):
            factor = np.exp(np.abs(np.log(size / usual)).max())
            if factor >= 10 and not any(kind == "spacing-odd" for kind, _ in one.faults):
                text = f"The spacing is {factor:.3g} times off that of the other cases."
                yield Finding("spacing-odd", result.case.name, one.path, text)


def _intensities(results: Sequence[CaseResult], description: Description) -> Iterator[Finding]:
    """Per channel, the cases whose median or interquartile range is far from that of the others.

    Where nnU-Net normalises each case by itself and more than a few are far off, the scale is no trait of the data set
    (MR has none of its own) and nothing is said.
    """
    for number in sorted({number for result in results for number in result.channels}):
        known = [
            (result, one)
            for result in results
            if (one := result.channels.get(number)) and one.values is not None and one.values.spread > 0
        ]
        if len(known) < _FEWEST:
            continue
        named = description.channels is not None and number < len(description.channels)
        name = description.channels[number] if named and description.channels else str(number)
        found = list(_far(known, name))
        if name.casefold() in _SHARED_SCALE or len(found) <= max(1, _FEW * len(known)):
            yield from found


def _far(known: Sequence[tuple[CaseResult, Examined]], name: str) -> Iterator[Finding]:
    medians = np.array([one.values.median for _, one in known if one.values])
    widths = np.array([one.values.spread for _, one in known if one.values])
    factor, wide = _away(np.log(widths))
    shift, off = _away(medians / np.median(widths))
    for place, (result, one) in enumerate(known):
        scale = wide[place] > _SIGMAS and abs(factor[place]) > np.log(_FACTOR)
        if scale or (off[place] > _SIGMAS and abs(shift[place]) > _SHIFT):
            text = (
                f"Channel {name}: the middle half of its values spans {widths[place]:.4g} around {medians[place]:.4g}; "
                f"in the typical case {np.median(widths):.4g} around {np.median(medians):.4g}."
            )
            yield Finding("intensity", result.case.name, one.path, text)


def _away(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the median, plain and in robust standard deviations."""
    distance = values - np.median(values)
    deviation = 1.4826 * np.median(np.abs(distance))
    return distance, np.abs(distance) / max(float(deviation), 1e-9)


def _never(results: Sequence[CaseResult], description: Description) -> Iterator[Finding]:
    """Declared labels that no training label holds."""
    labels = [
        result.label.values.labels
        for result in results
        if result.case.split == "training" and result.label and result.label.values
    ]
    if not labels:
        return
    present = {value for found in labels for value in found}
    for name, members in description.labels.items():
        if not present.intersection(members):
            values = ", ".join(map(str, members))
            yield Finding("label-never", "", None, f"{name} ({values}) occurs in none of {len(labels)} labels.")
