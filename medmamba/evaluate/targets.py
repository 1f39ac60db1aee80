"""What is scored in a dataset, by which tolerances and rules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..data.cards import Card
from ..data.scoring import LesionRules
from ..errors import ConfigError, DataError

TOLERANCE = 1.0
"""mm (pixels in pictures), of the normalised surface Dice where neither card nor option says another."""
_IGNORE = "ignore"
"""nnU-Net's name of the label that marks voxels nobody drew."""


@dataclass(frozen=True)
class Target:
    """One label, or one region made of several."""

    name: str
    values: tuple[int, ...]
    kind: Literal["label", "region"]
    learnt: bool
    """Whether dataset.json asks for it: only such targets are in the means over targets."""
    tolerance: float = TOLERANCE
    """mm."""


@dataclass(frozen=True)
class Rules:
    """How all cases of a dataset are scored."""

    targets: tuple[Target, ...]
    ignore: int | None = None
    """Value in the reference whose voxels count nowhere."""
    lesions: LesionRules | None = None
    """None: not lesion by lesion."""
    ending: str = ".nii.gz"
    """Of the label files."""
    notes: tuple[str, ...] = ()

    @property
    def declared(self) -> tuple[int, ...]:
        """All values that a label map may hold, ascending, 0 among them."""
        values = {0, *(value for target in self.targets for value in target.values)}
        return tuple(sorted(values | ({self.ignore} if self.ignore is not None else set())))


def rules_of(
    content: Mapping[str, Any],
    card: Card | None = None,
    tolerance: str | None = None,
    lesion_wise: bool | None = None,
) -> Rules:
    """The rules of a dataset.

    Parameters
    ----------
    content: of dataset.json. Its labels and regions are what was learnt, and their mean is the headline.
    card: what is known of the dataset; it gives tolerances, the rules for lesions, and the labels behind regions. A
        card with other labels than `content` is not used, which is noted.
    tolerance: "2", or "liver=5,spleen=3", in mm. It goes before the card's.
    lesion_wise: None leaves it to the card; True without a card takes the rules of BraTS 2023 glioma.

    Raises DataError where dataset.json has no labels, ConfigError for a tolerance that is none or of no target.
    """
    asked = _asked(content)
    notes = []
    if card is not None and not _agree(asked, card):
        notes.append(f"The card {card.name} has other labels than dataset.json; its rules are not used.")
        card = None
    targets = [*asked, *_behind(asked, card)]
    known = dict(card.nsd_tolerance) if card else {}
    everywhere, given = _tolerances(tolerance, [target.name for target in targets])
    chosen = tuple(
        Target(
            one.name,
            one.values,
            one.kind,
            one.learnt,
            given.get(one.name, everywhere if everywhere is not None else known.get(one.name, TOLERANCE)),
        )
        for one in targets
    )
    lesions = card.lesions if card else None
    if lesion_wise is not None:
        lesions = (lesions or LesionRules()) if lesion_wise else None
    ignore = content["labels"].get(_IGNORE)
    return Rules(
        chosen, None if ignore is None else int(ignore), lesions, content.get("file_ending", ".nii.gz"), tuple(notes)
    )


def _asked(content: Mapping[str, Any]) -> list[Target]:
    """The labels or regions of dataset.json, without background and ignore."""
    labels: Mapping[str, int | Sequence[int]] = content.get("labels", {})
    targets = []
    for name, value in labels.items():
        if name in ("background", _IGNORE) or value == 0:
            continue
        several = not isinstance(value, int)
        values = tuple(int(one) for one in value) if not isinstance(value, int) else (value,)
        targets.append(Target(name, values, "region" if several else "label", True))
    if not targets:
        raise DataError("dataset.json has no labels.", "Add its `labels` table.")
    if any(value < 0 for one in targets for value in one.values):
        raise DataError("dataset.json has a negative label value.", "Number labels 1, 2, ...")
    return targets


def _agree(asked: Sequence[Target], card: Card) -> bool:
    """Whether a card means the same by every name that dataset.json uses."""
    known = {name: (value,) for name, value in card.labels.items()}
    regions = {name: tuple(members) for name, members in card.regions.items()}
    return all(set(one.values) == set((regions if one.kind == "region" else known).get(one.name, ())) for one in asked)


def _behind(asked: Sequence[Target], card: Card | None) -> Iterator[Target]:
    """The labels that regions are made of, and the regions that labels make up, which dataset.json does not ask for."""
    if card is None:
        return
    names, values = {one.name for one in asked}, {one.values for one in asked}
    for name, members in card.regions.items():
        if name not in names and tuple(members) not in values:
            yield Target(name, tuple(members), "region", False)
    for name, value in card.labels.items():
        if value and (value,) not in values:
            free = name if name not in {*names, *card.regions} else f"{name} (label {value})"
            yield Target(free, (value,), "label", False)


def _tolerances(text: str | None, names: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    """The number for all and the numbers by name in what was typed."""
    everywhere, given = None, {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, value = part.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            raise ConfigError(f"--tolerance {part.strip()!r} is no distance.", "Use mm, as 2 or liver=5,spleen=3.")
        if not equals:
            everywhere = number
        elif name.strip() in names:
            given[name.strip()] = number
        else:
            raise ConfigError(f"--tolerance names {name.strip()!r}, which is not scored.", f"Use {', '.join(names)}.")
    return everywhere, given
