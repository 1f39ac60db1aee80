"""Ensembles of models: the mean of their saved probabilities, as label maps."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DataError
from ...files import replacing, write_json
from .. import batches
from ..model import write_probabilities
from . import pickles
from .scoring import LabelFiles


def ensemble(
    folders: Sequence[Path],
    output: Path,
    *,
    save_probabilities: bool = False,
    overwrite: bool = True,
    on_case: batches.OnCase | None = None,
) -> list[Path]:
    """Average the predictions of several models case by case; return the label maps.

    Parameters
    ----------
    folders: at least two that `predict` wrote with probabilities: CASE.npz, CASE.pkl, plans.json and dataset.json.
    output: folder for CASE.nii.gz. Labels and reader are those of the first folder.
    save_probabilities: also write the mean probabilities, CASE.npz and CASE.pkl.
    overwrite: average cases again whose label map is there already.

    Raises ConfigError for fewer than two folders, DataError when they have no probabilities or other labels than the
    first, and BatchError at the end when single cases failed, such as one that a folder lacks.
    """
    folders = [Path(folder) for folder in folders]
    if len(folders) < 2:
        raise ConfigError("An ensemble needs at least two folders.", "Give --input once for each of them.")
    files = LabelFiles.of(folders[0])
    for folder in folders:
        if not any(folder.glob("*.npz")):
            raise DataError(f"{folder} has no probabilities (*.npz).", "Predict with --save-probabilities.")
        if LabelFiles.of(folder).dataset["labels"] != files.dataset["labels"]:
            raise DataError(f"The labels of {folder} are not those of {folders[0]}.", "Take models of one dataset.")
    names = sorted({path.stem for folder in folders for path in folder.glob("*.npz")})
    sources = {case: [folder / f"{case}.npz" for folder in folders] for case in names}
    return merge(sources, Path(output), files, save_probabilities, overwrite, on_case)


def merge(
    sources: Mapping[str, Sequence[Path]],
    output: Path,
    files: LabelFiles,
    save_probabilities: bool = False,
    overwrite: bool = True,
    on_case: batches.OnCase | None = None,
) -> list[Path]:
    """Write the label map of the mean of each case's .npz files; `ensemble` says the rest."""
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "dataset.json", files.dataset)
    write_json(output / "plans.json", files.plans.plans)

    def one(case: str) -> Path:
        file = output / f"{case}{files.ending}"
        if overwrite or not file.is_file():
            _merge(sources[case], file, files, save_probabilities)
        return file

    threads = batches.threads(max((_bytes(paths) for paths in sources.values()), default=0))
    written, failures = batches.attempt(sources, one, on_case, threads)
    if failures:
        raise batches.BatchError(list(written.values()), failures, "ensembles were written")
    return list(written.values())


def average(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Mean over files of their `probabilities` (classes or regions, *size), summed in order as nnU-Net does."""
    total: NDArray[np.float32] | None = None
    for path in paths:
        part = _probabilities(path)
        if total is not None and part.shape != total.shape:
            raise DataError(f"{path} is of size {part.shape} and {paths[0]} of {total.shape}")
        total = part.astype(np.float32, copy=False) if total is None else total + part
    assert total is not None, "no files"
    total /= len(paths)
    return total


def _probabilities(path: Path) -> NDArray[Any]:
    try:
        with np.load(path) as content:
            return np.asarray(content["probabilities"])
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no probabilities: {error}") from error


def _merge(paths: Sequence[Path], file: Path, files: LabelFiles, save_probabilities: bool) -> None:
    properties = _properties(paths[0], files)
    probabilities = average(paths)
    label_map = files.labels.convert_probabilities_to_segmentation(probabilities)
    if save_probabilities:
        write_probabilities(file.with_name(file.name.removesuffix(files.ending)), probabilities, properties)
    with replacing(file) as temporary:
        files.reader.write_seg(label_map, str(temporary), properties)


def _properties(path: Path, files: LabelFiles) -> dict[str, Any]:
    """The geometry to write with: of the .pkl beside the probabilities, else of the label map there."""
    if (pickled := path.with_suffix(".pkl")).is_file():
        properties: dict[str, Any] = pickles.read(pickled)
        return properties
    label_map = path.with_name(f"{path.stem}{files.ending}")
    if not label_map.is_file():
        raise DataError(f"{path} has neither .pkl nor label map beside it, so its geometry is not known")
    _, properties = files.reader.read_seg(str(label_map))
    return properties


def _bytes(paths: Sequence[Path]) -> int:
    """What a case takes in memory: the mean, one member, and a copy while they are added."""
    try:
        with zipfile.ZipFile(paths[0]) as archive:
            return 3 * sum(part.file_size for part in archive.infolist())
    except (OSError, zipfile.BadZipFile):
        return 0
