"""nnU-Net's fingerprint, plans and preprocessing, done once and shared by all networks."""

import os
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from ..data.check.run import require_sound
from ..errors import DataError
from ..files import read_json, write_json
from ..runtime import cpu_count
from . import host, presets
from . import plans as network_plans
from .loop import fold_splits
from .planning import footprint, planner

STOCK_PLANS = "nnUNetPlans"
_MOST_PROCESSES = 8
"""nnU-Net's own default; more of them mostly wait for the disk."""
_PROPOSED_SPLITS = "splits.json"
"""In a raw dataset: folds that keep together what belongs together, as `medmamba datasets prepare` writes them."""
_RAW_FILES = "raw_files.json"
"""In a preprocessed dataset: what the fingerprint was made from; a file may be replaced by one that is older."""

Cases = Mapping[str, Sequence[Path]]
"""Case name -> its image files and its label file."""


def preprocess(
    dataset_id: int,
    *,
    network: str | None = None,
    preset: str = presets.DEFAULT,
    configurations: Sequence[str] | None = None,
    processes: int | None = None,
    verify: bool = True,
    vram: float | None = None,
) -> Path:
    """Fingerprint, plan and preprocess a raw dataset; return the plans file.

    Parameters
    ----------
    network: also write plans that carry this network (`nnUNetPlans_<network>[-<preset>].json`); they name the same
        preprocessed data as nnU-Net's own plans, so that every further network costs seconds.
    configurations: which to preprocess; None: all that the plan has and the network takes.
    processes: worker processes; None: as many as cores, at most eight.
    verify: check the raw files first.
    vram: plan the network for a GPU of so many GB; None: as before, else for this machine (see `planner.budget`).

    What was made from the raw files as they are is left as it is. Folds that the raw dataset proposes are taken over
    unless there are some. Raises DataError for raw files or folds that cannot be used, ConfigError for a network or
    preset that does not exist, a configuration that the plan does not have or the network does not take, or a network
    that does not fit, SetupError when the disk is too small.
    """
    if network is not None:  # a wrong name is told now and not after the fingerprint
        presets.preset(network, preset)
        planner.budget(vram)
    name = host.dataset_name(dataset_id)
    processes = processes or min(_MOST_PROCESSES, cpu_count())
    raw = host.folder("nnUNet_raw") / name
    place = host.folder("nnUNet_preprocessed") / name
    cases = _cases(raw)
    # nnUNet_n_proc_DA=0, useful in training, makes the planner ask torch for zero threads
    with host.muted(), host.variables(nnUNet_n_proc_DA="1"):
        plans = _stock_plans(dataset_id, raw, place, cases, processes, verify)
        wanted = _wanted(plans, network, preset, configurations)
        file = place / f"{STOCK_PLANS}.json" if network is None else write_network_plans(name, network, preset, vram)
        for configuration in wanted:
            _preprocess_configuration(dataset_id, plans, configuration, place, cases, processes)
    _copy_labels(cases, place, read_json(raw / "dataset.json")["file_ending"])
    _take_over_splits(raw / _PROPOSED_SPLITS, place / fold_splits.FILE, cases)
    return file


def write_network_plans(dataset: str, network: str, preset: str = presets.DEFAULT, vram: float | None = None) -> Path:
    """Plan a network on the stock plans of a preprocessed dataset, write its plans beside them, return the file.

    The configurations for the same data, preset and GPU memory are left alone (also what a user changed in them);
    without `vram` those for any memory. What the stock plans say of the data, as intensities, is always taken over.
    DataError when the dataset was not planned yet.
    """
    place = host.folder("nnUNet_preprocessed") / dataset
    stock = place / f"{STOCK_PLANS}.json"
    if not stock.is_file():
        raise DataError(f"{dataset} has no {stock}.", f"Run: medmamba preprocess --dataset {dataset} --net {network}")
    plans_name = presets.plans_name(network, preset)
    file = place / f"{plans_name}.json"
    there = read_json(file) if file.is_file() else {}
    before = there.get(network_plans.STAMP, {})
    content = read_json(stock)
    asked = before.get("budget", {}).get("asked_for")
    same = before.get("basis") == planner.basis(content, presets.preset(network, preset))
    if same and vram in (None, asked):
        data = {key: value for key, value in content.items() if key not in ("configurations", "plans_name")}
        if there != there | data:
            write_json(file, there | data)
        return file
    limits = planner.budget(asked if vram is None else vram)
    plans = planner.plan(content, read_json(place / "dataset.json"), network, preset, limits)
    write_json(file, plans | {"plans_name": plans_name})
    return file


def _wanted(plans: dict[str, Any], network: str | None, preset: str, configurations: Sequence[str] | None) -> list[str]:
    """The configurations to preprocess, each checked against the plans and the network."""
    if network is None:
        for configuration in configurations or ():
            network_plans.resolve(plans, configuration)
        return list(configurations or plans["configurations"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # writing the network's plans says it again
        for configuration in configurations or ():
            network_plans.adapt(plans, network, preset, configuration)
        return list(configurations or network_plans.adapt(plans, network, preset)["configurations"])


def _stock_plans(dataset_id: int, raw: Path, place: Path, cases: Cases, processes: int, verify: bool) -> dict[str, Any]:
    """nnU-Net's plans, made anew when the raw dataset is newer than they are or was changed since."""
    fingerprint, plans = place / "dataset_fingerprint.json", place / f"{STOCK_PLANS}.json"
    sources = [raw / "dataset.json", *(file for files in cases.values() for file in files)]
    made_from, stamps = place / _RAW_FILES, _stamps(sources, raw)
    known = read_json(made_from) if made_from.is_file() else stamps  # nnU-Net's own command notes none
    # fewer cases than before leave no newer file behind
    same = known == stamps and _newer(fingerprint, sources)
    if not same or len(read_json(fingerprint)["spacings"]) != len(cases):
        if verify:
            require_sound(raw, processes)
        extractor = DatasetFingerprintExtractor(dataset_id, processes)
        extractor.show_progress_bar = sys.stderr.isatty()
        extractor.run(overwrite_existing=True)
    if not made_from.is_file() or known != stamps:
        write_json(made_from, stamps)
    if not _newer(plans, [fingerprint]):
        ExperimentPlanner(dataset_id).plan_experiment()
    return read_json(plans)


def _preprocess_configuration(
    dataset_id: int, plans: dict[str, Any], configuration: str, place: Path, cases: Cases, processes: int
) -> None:
    """Preprocess one configuration of the stock plans unless every case is there and newer than its sources."""
    manager = PlansManager(plans).get_configuration(configuration)
    done = place / manager.data_identifier
    fingerprint = place / "dataset_fingerprint.json"
    # nnU-Net writes a case's .pkl last
    if all(_newer(done / f"{case}.pkl", [fingerprint, *files]) for case, files in cases.items()):
        return
    channels = len(next(iter(cases.values()))) - 1
    needed = footprint.preprocessed_bytes(manager.configuration, channels, len(cases))
    footprint.require_disk(needed, place, f"The preprocessed data of {configuration} need", "nnUNet_preprocessed")
    preprocessor = manager.preprocessor_class(verbose=False)
    preprocessor.show_progress_bar = sys.stderr.isatty()
    preprocessor.run(dataset_id, configuration, STOCK_PLANS, num_processes=processes)


def _take_over_splits(proposed: Path, splits: Path, cases: Cases) -> None:
    """Make the proposed folds the dataset's, if there are any and it has none.

    DataError when the folds cannot be read or name cases that are gone, which would end training in an epoch.
    """
    file = splits if splits.is_file() else proposed
    if not file.is_file():
        return
    folds = fold_splits.read_splits(file)
    if gone := sorted({case for fold in folds for part in fold.values() for case in part} - set(cases)):
        raise DataError(
            f"{file} names {len(gone)} case(s) that the dataset does not have: {', '.join(gone[:5])}.",
            "Take them out of it, or remove the file: then the folds are made anew.",
        )
    if file == proposed:
        write_json(splits, folds)


def _cases(raw: Path) -> dict[str, list[Path]]:
    """The training cases of a raw dataset: images in channel order, then the label. DataError when there is none."""
    content = read_json(raw / "dataset.json")
    ending = content.get("file_ending", ".nii.gz")
    found: dict[str, list[Path]]
    if "dataset" in content:  # nnU-Net's way of naming files anywhere on the disk
        found = {
            case: [raw / os.path.expandvars(file) for file in [*files["images"], files["label"]]]
            for case, files in content["dataset"].items()
        }
    else:
        found = {}
        for image in sorted((raw / "imagesTr").glob(f"*_[0-9][0-9][0-9][0-9]{ending}")):
            found.setdefault(image.name[: -len(ending) - 5], []).append(image)
        for case, files in found.items():
            files.append(raw / "labelsTr" / f"{case}{ending}")
    if not found:
        raise DataError(
            f"{raw} has no training images (imagesTr/CASE_0000{ending}).", "See nnU-Net's raw dataset format."
        )
    for case, files in found.items():
        for file in files:
            if not file.is_file():
                raise DataError(f"Case {case} of {raw.name} lacks {file}.", "Add the file or remove the case.")
    return found


def _stamps(files: Sequence[Path], raw: Path) -> dict[str, list[int]]:
    """Path as seen from the raw dataset -> size in bytes and time of change in nanoseconds."""
    states = {os.path.relpath(file, raw): file.stat() for file in files}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}


def _newer(target: Path, sources: Sequence[Path]) -> bool:
    """Whether `target` is there and not older than any source."""
    return target.is_file() and target.stat().st_mtime >= max(source.stat().st_mtime for source in sources)


def _copy_labels(cases: Cases, place: Path, ending: str) -> None:
    """nnU-Net validates against a copy of the labels beside the preprocessed data."""
    folder, fingerprint = place / "gt_segmentations", place / "dataset_fingerprint.json"
    folder.mkdir(parents=True, exist_ok=True)
    for case, (*_, label) in cases.items():
        copy = folder / f"{case}{ending}"
        if not _newer(copy, [fingerprint, label]):
            shutil.copyfile(label, copy)
