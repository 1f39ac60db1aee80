"""How a download looks: patterns of file names and what they hold, one `[[layout]]` table of a card for each split."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
"""A named part of a pattern: one name without "/"; the same name stands for the same text everywhere."""
SPLITS = ("training", "validation", "test")
FLAT_KINDS = ("rgb", "grey")
"""Kinds that are one 2-D picture."""


def wrong(key: str, problem: str) -> PydanticCustomError:
    """What a validator of a whole table raises, so that the error can name the key and its line."""
    return PydanticCustomError("card", "{problem}", {"key": key, "problem": problem})


def placeholders(pattern: str) -> set[str]:
    """The names in braces in a pattern."""
    return set(PLACEHOLDER.findall(pattern))


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_several)]


class Select(BaseModel):
    """A table in the download that says which cases belong to a split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    """Its path below the layout's root."""
    delimiter: str = ","
    key: str
    """The column that holds the case: the value of the pattern's first placeholder."""
    column: str
    """The column that is looked at."""
    values: Patterns
    """What it holds for the cases of this split."""


class Layout(BaseModel):
    """Where the files of one split lie in a download, and how they become nnU-Net cases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Literal["training", "validation", "test"]
    root: Patterns = (".",)
    """Folders below the download, `*` allowed; the first that holds a case is taken."""
    kind: Literal["volume", "time", "rgb", "grey", "clip"] = "volume"
    """volume: one file a channel; time: one 4-D file; rgb, grey: one 2-D picture; clip: a folder of frames."""
    images: Patterns = Field(min_length=1)
    """One pattern a channel, below root, with {case} or other names in braces; one pattern for all other kinds."""
    label: Patterns = ()
    """The label's pattern; several where their masks are joined (label_kind "binary")."""
    label_kind: Literal["map", "masks", "binary", "instances"] = "map"
    """map: label values; masks: one binary file a label; binary: one object; instances: cells by number."""
    mask_names: dict[str, Patterns] = {}
    """masks: label name -> what {label} reads in the file names, `*` allowed; without it the label's own name."""
    label_optional: bool = False
    """Images without a label belong to the dataset and are left out without complaint."""
    threshold: float = 0
    """masks, binary: the object is what lies above this."""
    name: str = "{case}"
    """What the case is called in nnU-Net."""
    where: dict[str, str] = {}
    """Placeholder -> regular expression of what it may be."""
    select: Select | None = None
    join: bool = False
    """validation: the cases are trained on too (imagesTr)."""
    crop: tuple[int, int, int, int] | None = None
    """rgb, grey: x, y, width, height in pixels that are kept."""
    intensity: Literal["keep", "percentile"] = "keep"
    """rgb, grey: keep 8 bits as they are, or stretch the 1st to 99th percentile of the non-zero pixels to 8 bits."""
    ignore: Patterns = ()
    """Patterns below root of files that belong to the download and are not used."""

    @model_validator(mode="after")
    def _consistent(self) -> "Layout":
        names = placeholders(self.images[0]) - {"frame"}
        if not names:
            raise wrong("images", f"{self.images[0]!r} holds no {{case}}")
        free = {"frame"} if self.kind == "clip" else set()
        for pattern in self.images:
            if placeholders(pattern) != names | free:
                raise wrong("images", f"{pattern!r} needs the placeholders {sorted(names | free)}")
        if unknown := placeholders(self.name) - names:
            raise wrong("name", f"{sorted(unknown)} is in no image pattern; set name to {self._suggested(names)!r}")
        if names - placeholders(self.name):
            raise wrong("name", f"{self.name!r} leaves out {sorted(names - placeholders(self.name))}")
        free |= {"label"} if self.label_kind == "masks" else set()
        for pattern in self.label:
            if placeholders(pattern) != names | free:
                raise wrong("label", f"{pattern!r} needs the placeholders {sorted(names | free)}")
        self._check_paths()
        self._check_kinds(names)
        return self

    @staticmethod
    def _suggested(names: set[str]) -> str:
        return "_".join(f"{{{name}}}" for name in sorted(names))

    def _check_paths(self) -> None:
        for key in ("root", "images", "label", "ignore"):
            for pattern in getattr(self, key):
                if pattern.startswith("/") or ".." in PurePosixPath(pattern).parts or "\\" in pattern:
                    raise wrong(key, f"{pattern!r} must be a path below the download, with /")

    def _check_kinds(self, names: set[str]) -> None:
        if len(self.images) > 1 and self.kind != "volume":
            raise wrong("images", f"kind {self.kind!r} takes one pattern")
        if self.split == "training" and not self.label:
            raise wrong("label", "a training split needs one")
        if len(self.label) > 1 and self.label_kind != "binary":
            raise wrong("label", "only label_kind 'binary' joins several files")
        if self.label_kind == "instances" and self.kind not in FLAT_KINDS:
            raise wrong("label_kind", "'instances' is for kind 'rgb' or 'grey'")
        if self.kind == "clip" and self.label_kind not in ("map", "binary"):
            raise wrong("label_kind", "a clip's masks are 'binary' or 'map'")
        if self.join and self.split != "validation":
            raise wrong("join", "only a validation split is joined to the training cases")
        if (self.crop or self.intensity != "keep") and self.kind not in FLAT_KINDS:
            raise wrong("crop" if self.crop else "intensity", "crop and intensity are for kind 'rgb' or 'grey'")
        if unknown := set(self.where) - names:
            raise wrong("where", f"{sorted(unknown)} is in no image pattern")
        for expression in self.where.values():
            try:
                re.compile(expression)
            except re.error as error:
                raise wrong("where", f"{expression!r} is no regular expression ({error})") from error

    def lines(self) -> list[str]:
        """Where the files lie, for people."""
        first = f"{self.split}{' (joined to training)' if self.join else ''}: {' or '.join(self.root)}"
        lines = [first, *(f"  {pattern}" for pattern in self.images)]
        lines += [f"  label: {pattern}" for pattern in self.label]
        kinds = [kind for kind in (self.kind, self.label_kind) if kind not in ("volume", "map")]
        if kinds:
            lines.append(f"  kind: {', '.join(kinds)}")
        if self.name != "{case}":
            lines.append(f"  case name: {self.name}")
        return lines

    @property
    def trained_on(self) -> bool:
        """The cases go into imagesTr."""
        return self.split == "training" or self.join


class Pairs(BaseModel):
    """Which images are registered to each other (pairs.csv, and `registration` in dataset.json)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Literal["consecutive", "match", "channels"]
    """consecutive: each case of a split and the next by name; match: two cases whose names agree in one part;
    channels: two channels of one case."""
    fixed: str = ""
    """match: regular expression with one group, searched in the case name."""
    moving: str = ""
    """match: the same for the moving image; pairs are those with equal groups."""
    fixed_channel: str = ""
    """Channel name; without it the first channel."""
    moving_channel: str = ""
    """Channel name; without it the first channel (consecutive, match) or the second (channels)."""
    ignore_labels: Patterns = ()
    """Names of labels whose overlap does not count."""

    @model_validator(mode="after")
    def _consistent(self) -> "Pairs":
        for expression in (self.fixed, self.moving):
            try:
                groups = re.compile(expression).groups
            except re.error as error:
                raise wrong("fixed", f"{expression!r} is no regular expression ({error})") from error
            if groups != (1 if self.rule == "match" else 0) or bool(expression) != (self.rule == "match"):
                raise wrong("rule", "fixed and moving are regular expressions with one group, for rule 'match' alone")
        return self
