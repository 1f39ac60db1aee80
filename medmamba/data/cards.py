"""Dataset cards: what is known about a public dataset, one TOML file each, in datasets/."""

import re
import sys
from collections.abc import Mapping
from functools import cache
from math import inf
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ConfigError, DataError
from ..resources import folder
from .layouts import FLAT_KINDS, Layout, Pairs, wrong
from .scoring import LesionRules
from .toml_lines import line_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Sureness = Literal["verified", "secondary", "unverified"]
"""How sure a fact is: read in the source itself, taken from somebody's copy or description, or field knowledge."""

Reader = Literal[
    "SimpleITKIO", "SimpleITKIOWithReorient", "NibabelIO", "NibabelIOWithReorient", "NaturalImage2DIO", "Tiff3DIO"
]
"""nnU-Net's readers."""

Code = tuple[str, str, str] | tuple[str, str, str, Literal["left", "right", "anterior", "posterior"]]


class Cases(BaseModel):
    """How many cases a dataset has. A count that is not known is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: int = Field(ge=0)
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
    task: Literal["segmentation", "video segmentation", "registration"] = "segmentation"
    title: str
    aliases: tuple[str, ...] = ()
    """Other names that `--dataset` takes."""
    home: str
    licence: str
    access: str
    citation: str = ""
    file_ending: str = ".nii.gz"
    channels: tuple[str, ...] = Field(min_length=1)
    """Channel names in file order (_0000, _0001, ...); nnU-Net takes the intensity normalisation from them."""
    labels: dict[str, int]
    """Label name -> value as nnU-Net needs them: background 0, then 1, 2, ... without a gap."""
    raw_labels: dict[str, int | tuple[int, ...]] = {}
    """Label name -> value(s) in the downloaded label files, where they differ from `labels`; a name that `labels` does
    not have becomes background. Prediction goes back to the first value."""
    codes: dict[str, Code] = {}
    """Label name -> coding scheme, code value, code meaning and, maybe, left, right, anterior or posterior, as DICOM
    segmentations need them. A label whose code is not known for certain has none."""
    abnormal: tuple[str, ...] = ()
    """Labels of `codes` that are a tumour, an oedema, ...: morphologically abnormal, and no parts of the body."""
    regions: dict[str, tuple[int, ...]] = {}
    """Region name -> label values, outer regions first. Empty: the labels themselves are learnt."""
    regions_class_order: tuple[int, ...] = ()
    """The value that each region paints, in the regions' order; later regions paint over earlier ones."""
    cases: Cases
    spacing: tuple[float, ...] = ()
    """Typical spacing in millimetres, x, y, z."""
    shape: tuple[int, ...] = ()
    """Typical size in voxels, x, y, z."""
    reader: Reader | None = None
    """The reader that dataset.json asks nnU-Net for; without it nnU-Net chooses by the file ending."""
    layout: tuple[Layout, ...] = ()
    """How a download looks. Empty: the dataset cannot be prepared."""
    group: str = ""
    """Regular expression with one group, searched in the case name: cases with equal groups stay in one fold."""
    fixed_split: bool = False
    """The joined validation split is the validation set of the only fold."""
    pairs: Pairs | None = None
    """registration: what is registered to what."""
    metrics: tuple[str, ...] = ()
    nsd_tolerance: dict[str, float] = {}
    """Label or region name -> tolerance of the normalised surface Dice in mm (pixels in pictures)."""
    lesions: LesionRules | None = None
    """How lesions are scored one by one, where the organisers do."""
    traps: tuple[str, ...] = ()
    sure: dict[str, Sureness]
    """How sure each field is."""

    @model_validator(mode="after")
    def _consistent(self) -> "Card":
        self._check_labels()
        self._check_regions()
        for place, layout in enumerate(self.layout):
            self._check_layout(layout, f"layout.{place}")
        self._check_tolerances()
        if self.pairs and (unknown := set(self.pairs.ignore_labels) - set(self.labels)):
            raise wrong("pairs.ignore_labels", f"ignore_labels names labels that do not exist: {sorted(unknown)}")
        if self.group and (not _is_expression(self.group) or re.compile(self.group).groups != 1):
            raise wrong("group", f"{self.group!r} is no regular expression with one group")
        if unknown := set(self.sure) - set(type(self).model_fields):
            raise wrong(f"sure.{min(unknown)}", f"sure names fields that do not exist: {sorted(unknown)}")
        needed = _NEED_A_MARK | {field for field in _NEED_A_MARK_IF_SET if getattr(self, field)}
        if unmarked := needed - set(self.sure):
            raise wrong("sure", f"sure says nothing about {sorted(unmarked)}")
        return self

    def _check_labels(self) -> None:
        values = list(self.labels.values())
        if values != list(range(len(values))) or next(iter(self.labels), "") != "background":
            raise wrong("labels", f"labels must be background = 0 and then 1, 2, ... in this order, not {self.labels}")
        if self.raw_labels:
            if missing := set(self.labels) - set(self.raw_labels) - {"background"}:
                raise wrong("raw_labels", f"raw_labels has no value for {sorted(missing)}")
            raw = [value for values in self.raw_labels.values() for value in _as_tuple(values)]
            if len(set(raw)) < len(raw):
                raise wrong("raw_labels", "raw_labels has a value twice")
        if unknown := set(self.codes) - set(self.labels):
            raise wrong("codes", f"codes names labels that do not exist: {sorted(unknown)}")
        if bare := set(self.abnormal) - set(self.codes):
            raise wrong("abnormal", f"abnormal names labels without a code: {sorted(bare)}")

    def _check_regions(self) -> None:
        values = list(self.labels.values())
        for region, members in self.regions.items():
            if not set(members) <= set(values[1:]):
                raise wrong(f"regions.{region}", f"region {region!r} names a value that is no label: {list(members)}")
        if len(self.regions_class_order) != len(self.regions):
            raise wrong("regions_class_order", "regions_class_order needs one value for each region")
        if self._repainted() != {value: value for value in (values[1:] if self.regions else [])}:
            raise wrong(
                "regions_class_order", "painting the regions in regions_class_order does not give the labels back"
            )

    def _check_tolerances(self) -> None:
        for name, tolerance in self.nsd_tolerance.items():
            if name not in {*self.labels, *self.regions}:
                raise wrong(f"nsd_tolerance.{name}", f"{name!r} is no label and no region")
            if not 0 < tolerance < inf:
                raise wrong(f"nsd_tolerance.{name}", f"the tolerance is {tolerance}, not a positive number")

    def _check_layout(self, layout: Layout, place: str) -> None:
        if layout.kind == "volume" and len(layout.images) != len(self.channels):
            raise wrong(f"{place}.images", f"{len(layout.images)} patterns for {len(self.channels)} channels")
        if layout.kind in ("rgb", "clip") and len(self.channels) != 3:
            raise wrong(f"{place}.kind", f"kind {layout.kind!r} needs three channels, not {len(self.channels)}")
        if layout.kind == "grey" and len(self.channels) != 1:
            raise wrong(f"{place}.kind", f"kind 'grey' needs one channel, not {len(self.channels)}")
        if (layout.kind in FLAT_KINDS) != (self.file_ending == ".png"):
            raise wrong(f"{place}.kind", f"kind {layout.kind!r} does not go with file_ending {self.file_ending!r}")
        if layout.label_kind == "binary" and len(self.labels) != 2:
            raise wrong(f"{place}.label_kind", "label_kind 'binary' needs one label beside the background")
        if layout.label_kind == "instances" and list(self.labels) != ["background", "interior", "boundary"]:
            raise wrong(f"{place}.label_kind", "label_kind 'instances' needs the labels background, interior, boundary")
        if unknown := set(layout.mask_names) - set(self.labels):
            raise wrong(f"{place}.mask_names", f"mask_names names labels that do not exist: {sorted(unknown)}")

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
            if field == "layout":
                texts[field] = [line for layout in self.layout for line in layout.lines()]
            elif isinstance(value, Pairs | LesionRules):
                texts[field] = [", ".join(f"{key} = {part}" for key, part in value if part)]
            elif isinstance(value, Cases):
                texts[field] = [", ".join(f"{count} {part}" for part, count in value if count)]
            elif isinstance(value, dict):
                texts[field] = [", ".join(f"{name} = {_plain(member)}" for name, member in value.items())]
            elif isinstance(value, tuple) and field not in ("metrics", "traps"):
                texts[field] = [", ".join(str(part) for part in value)]
            else:
                texts[field] = [str(line) for line in value] if isinstance(value, tuple) else [str(value)]
        return texts

    def answers_to(self, name: str) -> bool:
        """Whether `name` is this card's name or an alias, upper and lower case alike."""
        return name.lower() in (self.name.lower(), *(alias.lower() for alias in self.aliases))

    @property
    def folder_name(self) -> str:
        """DatasetXXX_Name."""
        return f"Dataset{self.id:03d}_{self.name}"

    @property
    def targets(self) -> dict[str, int | list[int]]:
        """What is learnt and scored, name -> value(s): the regions where there are some, else the labels."""
        if self.regions:
            return {name: list(members) for name, members in self.regions.items()}
        return {name: value for name, value in self.labels.items() if value}


def _plain(member: object) -> str:
    return str(list(member) if isinstance(member, tuple) else member)


def _as_tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_expression(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


_NEED_A_MARK = {"home", "licence", "channels", "labels", "cases"}
_NEED_A_MARK_IF_SET = {
    "raw_labels",
    "codes",
    "spacing",
    "shape",
    "layout",
    "group",
    "pairs",
    "nsd_tolerance",
    "lesions",
}


def read_card(path: Path) -> Card:
    """The card in a TOML file. ConfigError names the file, the key and its line when it is not a valid card."""
    try:
        text = path.read_text(encoding="utf-8")
        card = Card.model_validate(tomllib.loads(text))
    except FileNotFoundError as error:
        raise DataError(
            f"There is no card {path}.", "Check the path, or let `medmamba datasets new` write it."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).", "Give the card's file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", "Mend the file.") from error
    except ValidationError as error:
        key, problem = _first_problem(error)
        where = f"{path}, line {line_of(text, key)}: {'.'.join(map(str, key)) or 'the card'}"
        raise ConfigError(f"{where}: {problem}.", "Mend this key of the file.") from error
    if card.name != path.stem:
        line = line_of(text, ("name",))
        problem = f"{path}, line {line}: name: {card.name!r} differs from the file's name."
        raise ConfigError(problem, "Give both the same name.")
    return card


def _first_problem(error: ValidationError) -> tuple[tuple[str | int, ...], str]:
    """Path of the key and what is wrong with it. Names of pydantic's own, as those of union members, are left out."""
    first = error.errors()[0]
    key = tuple(part for part in first["loc"] if isinstance(part, int) or "[" not in part)
    within = first.get("ctx", {}).get("key", "")
    parts = tuple(int(part) if part.isdigit() else part for part in within.split(".")) if within else ()
    return key + parts, first["msg"]


@cache
def cards() -> Mapping[str, Card]:
    """All cards that ship with medmamba, by name, in the order of their numbers."""
    found = [read_card(path) for path in sorted(folder("datasets").glob("*.toml"))]
    return {card.name: card for card in sorted(found, key=lambda card: card.id)}


def card(name: str) -> Card:
    """The card of that name or alias, upper and lower case alike, or in that file (a path ending in .toml).

    DataError lists the names when there is none.
    """
    if name.endswith(".toml"):
        return read_card(Path(name))
    for known in cards().values():
        if known.answers_to(name):
            return known
    raise DataError(f"There is no dataset card {name!r}.", f"Known: {', '.join(cards())}.")
