"""Where the transforms, labels and landmarks of a pair lie: results of ours, Learn2Reg fields, dataset folders."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ..grid import Grid
from ..images import onto, read_labels, read_mask
from ..pairs import Pair, case_name, pair_name
from ..points import Space, read_points
from ..transforms.files import read
from ..transforms.transform import Transform
from .scoring import Truth

_RESULT = "transform.h5"
_FORMS = (".h5", ".tfm", ".mat", ".nii.gz", ".npz")
"""Endings of single transforms."""
_IMAGES = (".nii.gz", ".nii", ".mha", ".nrrd")
_CASE = re.compile(r"(?:(?P<set>.+?)_)?(?P<id>\d+)(?:_(?P<modality>\d{4}))?")
"""HippocampusMR_0001_0000, hippocampus_023."""


@dataclass(frozen=True)
class Places:
    """The folders that hold what pairs are judged by. A case is looked for in each, in order."""

    labels: tuple[Path, ...]
    masks: tuple[Path, ...] = ()
    points: tuple[Path, ...] = ()
    space: Space = "voxel"
    """Of the landmarks' tables; Learn2Reg's are in voxels."""
    wanted: tuple[int, ...] | None = None
    """Labels that count; None: all that occur."""

    @classmethod
    def of_dataset(cls, folder: Path, labels: Sequence[int] | None = None) -> "Places":
        """Of an nnU-Net or Learn2Reg dataset: labelsTr, labelsTs, masksTr, keypointsTr and so on."""

        def some(kind: str) -> tuple[Path, ...]:
            return tuple(path for end in ("Tr", "Ts") if (path := folder / f"{kind}{end}").is_dir())

        return cls(some("labels"), some("masks"), some("keypoints"), wanted=None if labels is None else tuple(labels))

    def truth(self, pair: Pair) -> Truth:
        """What the pair is judged by. ConfigError where a label map is absent, DataError where a file is unusable."""
        fixed, moving = (read_labels(self._labels(case, pair)) for case in (pair.fixed, pair.moving))
        points = [self._points(case, one.grid) for case, one in ((pair.fixed, fixed), (pair.moving, moving))]
        mask = find_case(self.masks, pair.fixed, _IMAGES)
        inside = None if mask is None else onto(read_mask(mask), fixed.grid, "nearest") != 0
        both = points if all(one is not None for one in points) else [None, None]
        return Truth(fixed, moving, self.wanted, both[0], both[1], inside)

    def _labels(self, case: str, pair: Pair) -> Path:
        found = find_case(self.labels, case, _IMAGES)
        if found is None:
            folders = " or ".join(map(str, self.labels)) or "the dataset"
            raise ConfigError(
                f"Pair {pair.name}: there is no label map of {case_name(case)} in {folders}.",
                "Name the folder with --labels.",
            )
        return found

    def _points(self, case: str, grid: Grid) -> NDArray[np.float64] | None:
        found = find_case(self.points, case, (".csv",))
        return None if found is None else read_points(found, self.space, grid).ras


def find_case(folders: Sequence[Path], case: str, endings: Sequence[str]) -> Path | None:
    """The file of a case: of its own name, of that with nnU-Net's _0000, or of that without its modality."""
    name = case_name(case)
    without = re.sub(r"_\d{4}$", "", name)
    for folder in folders:
        for stem in dict.fromkeys((name, f"{name}_0000", without)):
            for ending in endings:
                if (path := folder / f"{stem}{ending}").is_file():
                    return path
    return None


def find_transform(folder: Path, pair: Pair) -> Path | None:
    """The result of a pair in a folder of predictions: a folder of ours, a transform of its name, a Learn2Reg field."""
    stems = [pair.name, pair_name(pair.fixed, pair.moving)]
    for stem in dict.fromkeys(stems):
        if (folder / stem / _RESULT).is_file():
            return folder / stem
    for stem in dict.fromkeys([*stems, *_learn2reg_stems(pair)]):
        for ending in _FORMS:
            if (path := folder / f"{stem}{ending}").is_file():
                return path
    return None


def read_transform(path: Path, fixed: Grid, moving: Grid) -> Transform:
    """The transform of a file or of a result folder; the grids are for fields in voxels that do not name their own."""
    return read(path, reference=fixed, moving=moving)


def read_affine(path: Path) -> Transform | None:
    """The affine of a result folder of ours; None where there is none."""
    affine = path / "affine.tfm"
    return read(affine) if affine.is_file() else None


def pairs_in(folder: Path) -> tuple[Pair, ...]:
    """The pairs that a folder of predictions names itself: FIXED_to_MOVING."""
    found = {}
    for path in sorted(folder.iterdir()):
        name = case_name(path.name)
        fixed, to, moving = name.partition("_to_")
        if to and (path.is_file() or (path / _RESULT).is_file()):
            found[name] = Pair(name, fixed, moving)
    return tuple(found.values())


def _learn2reg_stems(pair: Pair) -> Iterator[str]:
    """disp_FIXED_MOVING by the cases' whole names, then as Learn2Reg: by their numbers, with or without modality."""
    sides = [_short(case_name(case)) for case in (pair.fixed, pair.moving)]
    for fixed, moving in zip(*sides, strict=True):
        yield f"disp_{fixed}_{moving}"


def _short(name: str) -> tuple[str, str, str]:
    """The whole name, number and modality, number alone."""
    match: Any = _CASE.fullmatch(name)
    if match is None:
        return name, name, name
    return name, f"{match['id']}_{match['modality']}" if match["modality"] else match["id"], match["id"]
