"""Which images of a dataset are registered to which: the `registration` table of its dataset.json."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ...errors import DataError
from ...register.pairs import case_name
from ..labels import channel_names, read_labels

_CHANNEL = re.compile(r"(.+)_(\d{4})")
_TABLE = "registration"
_PAIRINGS = ("inter", "intra", "list")
_KEYS = {"pairing", "fixed_channel", "moving_channel", "pairs_train", "pairs_val", "pairs_test", "ignore_labels"}
_REMEDY = "See `registration` in the description of dataset.json."


class Image(NamedTuple):
    """One channel of one case."""

    case: str
    channel: int


class Pair(NamedTuple):
    """What is registered to what."""

    fixed: Image
    moving: Image


@dataclass(frozen=True)
class Pairing:
    """The `registration` table, read."""

    kind: Literal["inter", "intra", "list"]
    """Cases with each other, the channels of one case, or pairs that are listed."""
    fixed_channel: int
    moving_channel: int
    labels: Mapping[str, int]
    """Name -> value of the labels whose overlap counts."""
    train: tuple[Pair, ...] = ()
    validation: tuple[Pair, ...] = ()

    def drawn(self, cases: Sequence[str], draw: Any) -> Pair:
        """A random training pair of these cases; never an image with itself. `draw` is a generator of numpy's."""
        if self.kind == "list":
            pairs = self._within(self.train, cases)
            return pairs[int(draw.integers(len(pairs)))]
        if self.kind == "intra":
            return self._pair(*[cases[int(draw.integers(len(cases)))]] * 2)
        first, second = draw.choice(len(cases), 2, replace=False)
        return self._pair(cases[first], cases[second])

    def tested(self, cases: Sequence[str], others: Sequence[str] = ()) -> tuple[Pair, ...]:
        """The pairs that these cases are validated with: those listed, each case with itself, or with the next one.

        A case that is alone is registered with the first of the `others`.
        """
        if listed := self._within(self.validation, cases):
            return listed
        if self.kind == "list":
            return self._within(self.train, cases)
        if self.kind == "intra":
            return tuple(self._pair(case, case) for case in cases)
        moving = [*cases[1:], *cases[:1]] if len(cases) > 1 else others[: len(cases)]
        return tuple(self._pair(*both) for both in zip(cases, moving, strict=False))

    def require(self, training: Sequence[str], validation: Sequence[str]) -> None:
        """DataError unless the cases of a fold make pairs to train on and pairs to validate with."""
        enough = self._within(self.train, training) if self.kind == "list" else training[self.kind == "inter" :]
        for pairs, cases, what in (
            (enough, training, "training"),
            (self.tested(validation, training), validation, "validation"),
        ):
            if pairs:
                continue
            raise DataError(
                f"The {len(cases)} case(s) for {what} make no pair ({self.kind}).",
                "Registration needs two cases, two channels of a case, or a list that names cases of this fold.",
            )

    def _pair(self, fixed: str, moving: str) -> Pair:
        return Pair(Image(fixed, self.fixed_channel), Image(moving, self.moving_channel))

    @staticmethod
    def _within(pairs: Sequence[Pair], cases: Sequence[str]) -> tuple[Pair, ...]:
        there = set(cases)
        return tuple(pair for pair in pairs if {pair.fixed.case, pair.moving.case} <= there)


def read_pairing(dataset: Mapping[str, Any]) -> Pairing:
    """The pairing of a dataset.json; without a table, by the number of channels: one "inter", more "intra".

    Learn2Reg's own `registration_val` is read too. DataError, naming the key, where something of it cannot be.
    """
    table = dataset.get(_TABLE, {})
    if not isinstance(table, Mapping) or set(table) - _KEYS:
        wrong = sorted(set(table) - _KEYS) if isinstance(table, Mapping) else table
        raise DataError(f"The dataset.json has {wrong} in its `{_TABLE}`.", f"Known are {', '.join(sorted(_KEYS))}.")
    channels = len(channel_names(dataset))
    lists = {key: table.get(f"pairs_{key}") for key in ("train", "val")}
    lists["val"] = lists["val"] or dataset.get("registration_val")
    usual = "list" if lists["train"] else "inter" if channels == 1 else "intra"
    kind = table.get("pairing", usual)
    if kind not in _PAIRINGS:
        raise DataError(f"The dataset.json has the pairing {kind!r}.", f"It is one of {', '.join(_PAIRINGS)}.")
    fixed = _channel(table.get("fixed_channel", 0), channels)
    moving = _channel(table.get("moving_channel", 1 if kind == "intra" else fixed), channels)
    if kind == "intra" and fixed == moving:
        raise DataError(f"An intra pairing needs two channels, and both are {fixed}.", _REMEDY)
    train, validation = (_pairs(lists[key] or (), (fixed, moving)) for key in ("train", "val"))
    if kind == "list" and not train:
        raise DataError("The dataset.json has the pairing 'list' and no pairs_train.", _REMEDY)
    return Pairing(kind, fixed, moving, _kept(dataset, table), train, validation)


def _channel(value: Any, channels: int) -> int:
    if type(value) is not int or not 0 <= value < channels:
        raise DataError(f"The dataset.json has the channel {value!r} in its `{_TABLE}`.", f"There are {channels}.")
    return value


def _pairs(rows: Any, channels: tuple[int, int]) -> tuple[Pair, ...]:
    """Pairs of files, imagesTr/CASE_0001.nii.gz, or of cases, CASE, whose channel is the usual one."""
    try:
        return tuple(Pair(_image(row["fixed"], channels[0]), _image(row["moving"], channels[1])) for row in rows)
    except (TypeError, KeyError) as error:
        raise DataError("The dataset.json has a list of pairs without `fixed` and `moving`.", _REMEDY) from error


def _image(text: str, channel: int) -> Image:
    name = case_name(text)
    found = _CHANNEL.fullmatch(name) if name != text else None
    return Image(name, channel) if found is None else Image(found[1], int(found[2]))


def _kept(dataset: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, int]:
    """The labels that count: all of the foreground but `ignore_labels`. Regions count by their parts."""
    ignored = table.get("ignore_labels", [])
    if not isinstance(ignored, list) or not all(type(one) is int for one in ignored):
        raise DataError(f"The dataset.json has ignore_labels {ignored!r}.", "It is a list of label values.")
    labels = read_labels(dataset)
    names = {value: name for name, value in labels.values.items() if isinstance(value, int)}
    return {names.get(value, f"label {value}"): value for value in labels.foreground if value not in ignored}
