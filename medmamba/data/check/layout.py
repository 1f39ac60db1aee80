"""Which files make up which case, by name alone, and what is missing or too many."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .dataset_json import Description
from .findings import Finding
from .image import ENDINGS

Split = Literal["training", "test"]
_PARTS: dict[Split, str] = {"training": "Tr", "test": "Ts"}


@dataclass
class Case:
    """The files of one case."""

    name: str
    split: Split
    images: dict[int, Path] = field(default_factory=dict)
    """Channel number -> file."""
    label: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Channels in order, then the label."""
        return [*(self.images[number] for number in sorted(self.images)), *([self.label] if self.label else [])]


def read_layout(folder: Path, description: Description, test: bool) -> tuple[list[Case], list[Finding]]:
    """The cases of a dataset, training first; `test`: also those of imagesTs. Never raises."""
    found: list[Finding] = []
    if description.table is not None:
        cases = list(_from_table(folder, description.table, found))
    else:
        cases = _from_folders(folder, "training", description.ending, found)
    if not cases:
        found.append(Finding("no-cases", "", folder / "imagesTr", f"No image CASE_0000{description.ending} there."))
    elif description.training is not None and description.training != len(cases):
        text = f"numTraining is {description.training}, there are {len(cases)} training cases."
        found.append(Finding("json-count", "", folder / "dataset.json", text))
    if test:
        cases += _from_folders(folder, "test", description.ending, found)
    names = defaultdict(set)
    for case in cases:
        names[case.split, case.name.casefold()].add(case.name)
    for same in names.values():
        if len(same) > 1:
            found.append(Finding("case-names", min(same), None, f"{' and '.join(sorted(same))}."))
    return cases, found


def _from_folders(folder: Path, split: Split, ending: str, found: list[Finding]) -> list[Case]:
    cases: dict[str, Case] = {}
    for path in _listed(folder / f"images{_PARTS[split]}", found):
        if not path.name.endswith(ending):
            if path.name.endswith(ENDINGS) and not path.name.startswith("."):
                found.append(Finding("other-ending", "", path, f"Does not end in {ending}."))
            continue
        stem = path.name[: -len(ending)]
        if path.name.startswith("."):
            found.append(Finding("hidden-file", "", path, "Its name begins with a dot."))
        elif match := re.fullmatch(r"(.+)_(\d{4})", stem):
            cases.setdefault(match[1], Case(match[1], split)).images[int(match[2])] = path
        else:
            found.append(Finding("image-name", stem, path, f"Does not end in _0000{ending}, _0001{ending}, ..."))
    labels = {
        path.name[: -len(ending)]: path
        for path in _listed(folder / f"labels{_PARTS[split]}", found, ending)
        if path.name[0] != "."
    }
    for name, case in cases.items():
        case.label = labels.pop(name, None)
        if case.label is None and split == "training":
            missing = folder / "labelsTr" / f"{name}{ending}"
            found.append(Finding("no-label", name, missing, "Is not there."))
    for name, path in labels.items():
        text = f"images{_PARTS[split]}/{name}_0000{ending} is not there."
        found.append(Finding("label-without-image", name, path, text))
    return [cases[name] for name in sorted(cases)]


def _listed(folder: Path, found: list[Finding], ending: str = "") -> list[Path]:
    """Everything in a folder, broken links too; nothing where there is no folder."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        found.append(Finding("permission", "", folder, f"{error.strerror}."))
        return []


def _from_table(folder: Path, table: dict[str, Any], found: list[Finding]) -> Iterator[Case]:
    """Cases as dataset.json's own table names them; relative paths start at the dataset's folder."""

    def place(text: str) -> Path:
        return folder / os.path.expandvars(text)

    for name, entry in table.items():
        images, label = (entry.get("images"), entry.get("label")) if isinstance(entry, dict) else (None, None)
        if not (isinstance(images, list) and images and all(isinstance(one, str) for one in [*images, label])):
            found.append(Finding("json-table", name, folder / "dataset.json", f"Its entry is {str(entry)[:100]}."))
            continue
        yield Case(name, "training", dict(enumerate(map(place, images))), place(str(label)))
