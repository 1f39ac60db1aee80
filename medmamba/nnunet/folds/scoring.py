"""Label maps against references in nnU-Net's own numbers and its summary.json, without worker processes."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import compute_metrics, load_summary_json, save_summary_json
from nnunetv2.utilities.json_export import recursive_fix_for_json_export
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from ...errors import DataError
from ...files import read_json, replacing
from .. import batches, host

Target = int | tuple[int, ...]
"""A label, or the labels of a region: nnU-Net's keys."""
SUMMARY = "summary.json"


@dataclass(frozen=True)
class LabelFiles:
    """How the label maps of a model are read, written and scored: as its plans.json and dataset.json say."""

    dataset: Mapping[str, Any]
    plans: PlansManager

    @classmethod
    def of(cls, folder: Path) -> "LabelFiles":
        """Of a model folder, or of a folder of predictions. DataError when one of the two files is missing."""
        found = cls(read_json(folder / "dataset.json"), PlansManager(read_json(folder / "plans.json")))
        assert found.labels and found.reader  # looked up once, and here: muting is not for threads
        return found

    @property
    def ending(self) -> str:
        """`.nii.gz`, mostly."""
        return str(self.dataset["file_ending"])

    @cached_property
    def reader(self) -> Any:
        """nnU-Net's reader and writer of images."""
        return self.plans.image_reader_writer_class()

    @cached_property
    def labels(self) -> Any:
        """nnU-Net's label manager."""
        with host.muted():
            return self.plans.get_label_manager(self.dataset)

    @property
    def targets(self) -> list[Target]:
        """What is scored: the regions where there are some, else the labels; without background and ignore."""
        manager = self.labels
        found = manager.foreground_regions if manager.has_regions else manager.foreground_labels
        return [tuple(map(int, one)) if isinstance(one, tuple | list) else int(one) for one in found]

    def name(self, target: Target) -> str:
        """What dataset.json calls a label or region."""
        for name, value in self.dataset["labels"].items():
            values = tuple(value) if isinstance(value, list | tuple) else value
            if name != "ignore" and values in (target, (target,)):
                return str(name)
        return str(target)

    def cases(self, folder: Path) -> list[str]:
        """The cases that have a label map in a folder."""
        return sorted(path.name.removesuffix(self.ending) for path in folder.glob(f"*{self.ending}"))

    def references(self) -> Path:
        """The reference labels of the dataset: raw, else nnU-Net's copy beside the preprocessed data."""
        name = self.plans.dataset_name
        places = (
            host.folder("nnUNet_raw") / name / "labelsTr",
            host.folder("nnUNet_preprocessed") / name / "gt_segmentations",
        )
        for place in places:
            if place.is_dir():
                return place
        raise DataError(f"No reference labels of {name}: {places[0]} and {places[1]} are missing.", "Put one back.")


def score(prediction: Path, reference: Path, files: LabelFiles) -> dict[str, Any]:
    """nnU-Net's figures of one case: {"metrics": {target: {"Dice", "IoU", "TP", ...}}, "reference_file", ...}.

    Dice is nan where prediction and reference are both empty. DataError when a file is missing.
    """
    for file in (prediction, reference):
        if not file.is_file():
            raise DataError(f"{file} is missing.", "It is needed for the score.")
    figures: dict[str, Any] = compute_metrics(
        str(reference), str(prediction), files.reader, files.targets, files.labels.ignore_label
    )
    return figures


def score_folder(
    folder: Path, references: Path, files: LabelFiles, cases: Collection[str], on_case: batches.OnCase | None = None
) -> dict[str, Any]:
    """Score the label maps of `cases`, write the folder's summary.json as nnU-Net does, and return its content.

    What an older run wrote is taken where it is newer than all label maps and has the same cases. Raises BatchError
    when a case cannot be scored; nothing is written then.
    """
    output = folder / SUMMARY
    predicted = {case: folder / f"{case}{files.ending}" for case in sorted(cases)}
    if (known := _known(output, list(predicted.values()), references, files)) is not None:
        return known

    def one(case: str) -> dict[str, Any]:
        return score(predicted[case], references / f"{case}{files.ending}", files)

    scored, failures = batches.attempt(predicted, one, on_case, batches.threads())
    if failures:
        raise batches.BatchError([predicted[case] for case in scored], failures, "could be scored")
    content = summarise(list(scored.values()), files.targets)
    with replacing(output) as temporary:
        save_summary_json(content, str(temporary))
    return read_summary(output)


def summarise(scored: list[dict[str, Any]], targets: list[Target]) -> dict[str, Any]:
    """nnU-Net's summary of cases: per case, mean over cases (nan left out), mean of these over the targets."""
    names = list(scored[0]["metrics"][targets[0]]) if scored else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a label that no case has: nan, and numpy says so
        mean = {
            target: {name: float(np.nanmean([one["metrics"][target][name] for one in scored])) for name in names}
            for target in targets
        }
    foreground = {name: float(np.mean([mean[target][name] for target in targets])) for name in names}
    for one in scored:
        recursive_fix_for_json_export(one)
    return {"metric_per_case": scored, "mean": mean, "foreground_mean": foreground}


def read_summary(path: Path) -> dict[str, Any]:
    """A summary.json, targets as numbers and tuples again. DataError when it is not there or not one of nnU-Net's."""
    try:
        content: dict[str, Any] = load_summary_json(str(path))
    except FileNotFoundError as error:
        raise DataError(f"There is no {path}.", "Validate first.") from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no summary of nnU-Net: {error}.", "Delete it and validate again.") from error
    return content


def mean_dice(summary: Mapping[str, Any]) -> float | None:
    """The mean of the targets' Dice: nnU-Net's, but over the targets that have a figure. None when none has."""
    found = [one["Dice"] for one in summary["mean"].values() if not np.isnan(one["Dice"])]
    return float(np.mean(found)) if found else None


def _known(output: Path, predicted: list[Path], references: Path, files: LabelFiles) -> dict[str, Any] | None:
    """The summary that is there, if nothing that it was made from has changed since."""
    used = [*predicted, *(references / file.name for file in predicted)]
    if not output.is_file() or not all(file.is_file() for file in used):
        return None
    written = output.stat().st_mtime_ns
    if any(file.stat().st_mtime_ns >= written for file in used):
        return None
    try:
        content = read_summary(output)
    except DataError:
        return None
    same_cases = {Path(one["prediction_file"]) for one in content["metric_per_case"]} == set(predicted)
    return content if same_cases and set(content["mean"]) == set(files.targets) else None


def figure(value: float) -> float | None:
    """A figure of a summary; None for nan."""
    return None if np.isnan(value) else float(value)
