"""The files of one case against each other: channels, shapes, geometry, label values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .dataset_json import Description
from .findings import Finding, Rounding
from .geometry import TOLERANCE, describe, difference, numbers
from .image import FLAT, TIFF, Examined
from .layout import Case

_SHOWN = 6
"""Label values that one sentence lists."""


@dataclass(frozen=True)
class CaseResult:
    """One case and what is known of its files."""

    case: Case
    channels: Mapping[int, Examined]
    label: Examined | None
    findings: tuple[Finding, ...]
    roundings: tuple[Rounding, ...]


def compare(case: Case, examined: Mapping[Path, Examined], description: Description) -> CaseResult:
    """All findings of one case: those of its files, and those between them."""
    channels = {number: examined[path] for number, path in sorted(case.images.items())}
    label = examined[case.label] if case.label else None
    findings = [Finding(kind, case.name, one.path, text) for one in examined.values() for kind, text in one.faults]
    roundings: list[Rounding] = []
    findings += _of_channels(case, channels, description)
    usable = {number: one for number, one in channels.items() if one.usable}
    if usable:
        first, *others = usable.values()
        for other, what in [*((other, "channel") for other in others), *([(label, "label")] if label else [])]:
            if other is not None and other.usable:
                findings += _of_grids(case, first, other, what, roundings)
        findings += _of_copies(case, usable, description)
    if label is not None and label.values is not None:
        findings += _of_labels(case, label, description)
    return CaseResult(case, channels, label, tuple(findings), tuple(roundings))


def _of_channels(case: Case, channels: Mapping[int, Examined], description: Description) -> Iterator[Finding]:
    """Channels that are missing or too many; a colour image brings its own."""
    if description.channels is None:
        return
    wanted = len(description.channels)
    if description.ending in (*FLAT, *TIFF) and any(one.components > 1 for one in channels.values()):
        if (count := sum(one.components for one in channels.values())) != wanted:
            kind = "missing-channel" if count < wanted else "extra-channel"
            text = f"Its files hold {count} colour channel(s), dataset.json names {wanted}."
            yield Finding(kind, case.name, case.files[0], text)
        return
    for number in range(wanted):
        if number not in channels:
            path = case.files[0].with_name(f"{case.name}_{number:04d}{description.ending}")
            yield Finding("missing-channel", case.name, path, f"Channel {number} ({description.channels[number]}).")
    for number, one in channels.items():
        if number >= wanted:
            yield Finding("extra-channel", case.name, one.path, f"dataset.json names {wanted} channel(s) only.")


def _of_grids(case: Case, first: Examined, other: Examined, what: str, roundings: list[Rounding]) -> Iterator[Finding]:
    """Shape and geometry of a channel or label against the first channel's."""
    if other.shape != first.shape:
        text = f"It is {numbers(other.shape)} voxels, {first.path.name} {numbers(first.shape)}."
        if sorted(other.shape) == sorted(first.shape):
            text += " The same numbers in another order: its axes look transposed."
        yield Finding(f"{what}-shape", case.name, other.path, text)
        return
    if first.geometry is None or other.geometry is None:
        return
    apart = difference(first.geometry, other.geometry)
    if not apart.noted:
        return
    text = (
        f"Voxels lie up to {apart.millimetres:.3g} mm ({apart.voxels:.3g} voxel) from those of {first.path.name}: "
        f"{describe(first.geometry, other.geometry)}."
    )
    if apart.real:
        yield Finding(f"{what}-geometry", case.name, other.path, f"{text} Tolerance: {TOLERANCE} voxel.")
        return
    if what == "label" and apart.spacing_refused:
        text += " nnU-Net's own integrity check refuses such a spacing; its training does not mind."
    roundings.append(Rounding(case.name, other.path, first.path, apart.voxels, apart.millimetres))
    refused = what == "channel" and apart.spacing_refused
    yield Finding("channel-spacing" if refused else f"{what}-rounding", case.name, other.path, text)


def _of_copies(case: Case, usable: Mapping[int, Examined], description: Description) -> Iterator[Finding]:
    """Channels of one case that hold the same pixels."""
    if set(description.channels or ()) == {"rgb_to_0_1"}:
        return  # colours of a grey video
    seen: dict[str, int] = {}
    for number, one in usable.items():
        assert one.values is not None
        if one.values.low == one.values.high:
            continue
        if (before := seen.setdefault(one.values.digest, number)) != number:
            text = f"The same pixels as channel {before}."
            yield Finding("same-channels", case.name, one.path, text)


def _of_labels(case: Case, label: Examined, description: Description) -> Iterator[Finding]:
    """Values of a label against those that dataset.json declares."""
    assert label.values is not None
    present = label.values.labels
    if description.allowed is not None and (unknown := sorted(set(present) - description.allowed)):
        shown = ", ".join(f"{value} ({present[value]} voxels)" for value in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        declared = ", ".join(map(str, sorted(description.allowed)))
        yield Finding("label-unknown", case.name, label.path, f"It holds {shown}{more}; declared are {declared}.")
    elif set(present) == {0} and not label.values.fractions and not label.values.not_finite:
        yield Finding("label-empty", case.name, label.path, "Every voxel is 0.")
