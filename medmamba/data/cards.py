"""Dataset cards: what is known about a public dataset, one TOML file each, in datasets/."""

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ConfigError, DataError
from ..resources import folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Sureness = Literal["verified", "secondary", "unverified"]
"""How sure a fact is: read in the source itself, taken from somebody's copy or description, or field knowledge."""


class Cases(BaseModel):
    """How many cases a dataset has. A count that is not known is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: int = Field(gt=0)
    """Cases with public labels."""
    validation: int = 0
    """Cases whose labels the organisers keep for the open phase."""
    test: int = 0
    """Cases for the final ranking."""


class Card(BaseModel):
    """One public dataset: identity, terms, channels, labels, regions, and what people trip over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """What `--dataset` takes; also the file's name."""
    id: int = Field(ge=1, le=999)
    """nnU-Net dataset number."""
    id_origin: Literal["nnU-Net", "U-Mamba", "Decathlon", "medmamba"]
    """Who gave it that number."""
    task: Literal["segmentation", "video segmentation"] = "segmentation"
    title: str
    home: str
    licence: str
    access: str
    citation: str = ""
    file_ending: str = ".nii.gz"
    channels: tuple[str, ...] = Field(min_length=1)
    """Channel names in file order (_0000, _0001, ...); nnU-Net takes the intensity normalisation from them."""
    labels: dict[str, int]
    """Label name -> value as nnU-Net needs them: background 0, then 1, 2, ... without a gap."""
    regions: dict[str, tuple[int, ...]] = {}
    """Region name -> label values, outer regions first. Empty: the labels themselves are learnt."""
    regions_class_order: tuple[int, ...] = ()
    """The value that each region paints, in the regions' order; later regions paint over earlier ones."""
    cases: Cases
    metrics: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    sure: dict[str, Sureness]
    """How sure each field is."""

    @model_validator(mode="after")
    def _consistent(self) -> "Card":
        values = list(self.labels.values())
        if values != list(range(len(values))) or next(iter(self.labels), "") != "background":
            raise ValueError(f"labels must be background = 0 and then 1, 2, ... in this order, not {self.labels}")
        for region, members in self.regions.items():
            if not set(members) <= set(values[1:]):
                raise ValueError(f"region {region!r} names a value that is no label: {list(members)}")
        if len(self.regions_class_order) != len(self.regions):
            raise ValueError("regions_class_order needs one value for each region")
        if self._repainted() != {value: value for value in (values[1:] if self.regions else [])}:
            raise ValueError("painting the regions in regions_class_order does not give the labels back")
        if unknown := set(self.sure) - set(type(self).model_fields):
            raise ValueError(f"sure names fields that do not exist: {sorted(unknown)}")
        if unmarked := _NEED_A_MARK - set(self.sure):
            raise ValueError(f"sure says nothing about {sorted(unmarked)}")
        return self

    def _repainted(self) -> dict[int, int]:
        """Label value -> value after a round trip through the regions."""
        painted: dict[int, int] = {}
        for members, value in zip(self.regions.values(), self.regions_class_order, strict=True):
            painted.update(dict.fromkeys(members, value))
        return painted

    def facts(self) -> dict[str, list[str]]:
        """Field -> lines of text, for people; empty fields are left out."""
        texts: dict[str, list[str]] = {}
        for field in type(self).model_fields:
            value = getattr(self, field)
            if field in ("name", "title", "sure") or not value:
                continue
            if isinstance(value, Cases):
                value = ", ".join(f"{count} {part}" for part, count in value if count)
            elif isinstance(value, dict):
                value = ", ".join(f"{name} = {_plain(member)}" for name, member in value.items())
            elif field == "regions_class_order" or field == "channels":
                value = ", ".join(str(part) for part in value)
            texts[field] = [str(line) for line in value] if isinstance(value, tuple) else [str(value)]
        return texts

    @property
    def targets(self) -> dict[str, int | list[int]]:
        """What is learnt and scored, name -> value(s): the regions where there are some, else the labels."""
        if self.regions:
            return {name: list(members) for name, members in self.regions.items()}
        return {name: value for name, value in self.labels.items() if value}


def _plain(member: int | tuple[int, ...]) -> str:
    return str(list(member) if isinstance(member, tuple) else member)


_NEED_A_MARK = {"home", "licence", "channels", "labels", "cases"}


def read_card(path: Path) -> Card:
    """The card in a TOML file. ConfigError names the file and the key when it is not a valid card."""
    try:
        card = Card.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", "Mend the file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the card"
        raise ConfigError(f"{path}: {key}: {first['msg']}.", "Mend this key of the file.") from error
    if card.name != path.stem:
        raise ConfigError(f"{path}: name: {card.name!r} differs from the file's name.", "Give both the same name.")
    return card


@cache
def cards() -> Mapping[str, Card]:
    """All cards that ship with medmamba, by name, in the order of their numbers."""
    found = [read_card(path) for path in sorted(folder("datasets").glob("*.toml"))]
    return {card.name: card for card in sorted(found, key=lambda card: card.id)}


def card(name: str) -> Card:
    """The card of that name, upper and lower case alike. DataError lists the names when there is none."""
    for known in cards().values():
        if known.name.lower() == name.lower():
            return known
    raise DataError(f"There is no dataset card {name!r}.", f"Known: {', '.join(cards())}.")
