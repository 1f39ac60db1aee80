"""Label maps of DICOM series as DICOM segmentations, described by what the model knows of its labels.

A segment is a label. Its codes are those of the dataset card that the model was trained by: out of the label_map.json
that `medmamba datasets prepare` writes and a bundle keeps, else of the card that the dataset's name stands for; without
either it is some tissue (`medmamba.dicom.codes.TISSUE`). With several channels the segmentation refers to the first.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...data.cards import Card, cards
from ...dicom import extra
from ...dicom.codes import Segment, segments
from ...dicom.reading import instance_uids, sources
from ...dicom.source import check_source
from ...dicom.writing import Algorithm
from ...dicom.writing import write_segmentation as write
from ...errors import ConfigError
from ..recipe import LoadedModel
from .cases import Case
from .dicom import find_series
from .images import Geometry
from .writing import as_stored, only


def require_writable(raw_labels: bool) -> None:
    """Raise SetupError without the extra `dicom`, and ConfigError where raw label values are asked for as well."""
    extra.require()
    if raw_labels:
        problem = "DICOM segmentations number their segments from 1 on and cannot have raw label values."
        raise ConfigError(problem, "Leave --raw-labels or --output-format dicom-seg away.")


def require_dicom(cases: Sequence[Case], output: Path) -> None:
    """Raise ConfigError for the first case that is no DICOM series, or among whose slices the output would lie."""
    for case in cases:
        if case.kind != "dicom":
            problem = f"{case.files[0]} is no DICOM series, and a DICOM segmentation is of one."
            raise ConfigError(problem, "Leave --output-format dicom-seg away, or give folders of series.")
        if output.resolve() in {path.resolve() for path in case.files}:
            problem = f"The segmentation of case {case.name} would lie among the slices of {output}."
            raise ConfigError(problem, "Choose another output folder.")


def require_source(case: Case) -> None:
    """Raise DataError when no segmentation can refer to a case's series; only headers are read."""
    check_source(find_series(case.files[0]).files)


def is_of_series(file: Path, case: Case) -> bool:
    """Whether a segmentation is of the very slices of a case. DataError where one of them cannot be read."""
    return sorted(sources(file)) == sorted(instance_uids(find_series(case.files[0]).files))


def write_segmentation(
    labels: NDArray[Any],
    geometry: Geometry,
    file: Path,
    model: LoadedModel,
    roi: Collection[int] | None = None,
    seed: int | None = None,
) -> None:
    """Write a label map, whole or not at all, as a DICOM segmentation of its series.

    labels: (z, y, x), axes as `images.read` gave them; left as it is. roi: label values to keep; only these are
    segments then, numbered from 1. seed: see `medmamba.dicom.writing`, which also tells what is raised.
    """
    if not geometry.slices:
        raise ConfigError(f"{file.name}: the image is no DICOM series.", "Write the label map in another format.")
    found = [one for one in described(model) if roi is None or one.value in roi]
    write(file, as_stored(only(labels, roi), geometry), geometry.slices, found, algorithm(model), seed)


def described(model: LoadedModel) -> tuple[Segment, ...]:
    """The segments of a model: all its labels, with names and codes as far as they are known."""
    known, codes, abnormal = _known(model)
    names = {value: f"label {value}" for value in model.recipe.foreground}
    for labels in (model.recipe.labels, known):  # a model of regions may know its labels by the card alone
        for name, value in labels.items():
            members = value if isinstance(value, tuple) else (value,)
            if len(members) == 1 and members[0] in names:
                names[members[0]] = name
    return segments(names, codes, abnormal)


def algorithm(model: LoadedModel) -> Algorithm:
    """What a segmentation says of the model: data set and trainer by name, never where its files lie."""
    name = f"{model.plans.get('dataset_name', '')} {model.trainer}".strip() or "medmamba"
    return Algorithm(name, model.digest, {"configuration": model.recipe.configuration, "folds": ",".join(model.folds)})


def _known(model: LoadedModel) -> tuple[Mapping[str, Any], Mapping[str, Any], Collection[str]]:
    """Labels, codes and which of them are abnormal, of the card that the model was trained by."""
    content = model.label_map or {}
    labels, codes = content.get("labels"), content.get("codes")
    if isinstance(labels, Mapping) and isinstance(codes, Mapping):
        return labels, codes, tuple(content.get("abnormal") or ())
    name = str(content.get("card") or str(model.plans.get("dataset_name", "")).partition("_")[2])
    card = cards().get(name)
    if card is None or not _agrees(card, model):
        return {}, {}, ()
    return card.labels, card.codes, card.abnormal


def _agrees(card: Card, model: LoadedModel) -> bool:
    """Whether a card found by name is of this dataset: other people's numbers may have other meanings."""
    return card.targets == {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in model.recipe.labels.items()
        if name not in ("background", "ignore")
    }
