"""Which post-processing helps on a cross-validation: nnU-Net's rules, each kept only when it does."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import compute_tp_fp_fn_tn, region_or_label_to_mask
from numpy.typing import NDArray

from .. import batches
from . import scoring
from .postprocess import Rule, apply, process, write_rules
from .scoring import LabelFiles, Target

Dice = dict[Target, float]
"""Target -> Dice; nan where it is not defined."""


@dataclass(frozen=True)
class Choice:
    """The rules that help, and what they do to the Dice of the cases they were chosen on."""

    rules: list[Rule]
    file: Path
    """postprocessing.json."""
    before: dict[str, float | None]
    """Label or region -> mean Dice."""
    after: dict[str, float | None]
    mean_before: float | None
    mean_after: float | None


def choose(folder: Path, references: Path, files: LabelFiles, cases: Sequence[str]) -> Choice:
    """Find nnU-Net's post-processing for the label maps of a folder that has been scored.

    First, whether to keep the largest component of all foreground together: only if the mean Dice rises and no
    target's falls. Then, where there is more than one target, the same for each of them in dataset.json's order: only
    if its own Dice rises.

    Writes postprocessing.json and .pkl into the folder, and the changed label maps with their summary.json into
    postprocessed/. Raises BatchError when a case cannot be read.
    """
    trial = _Trial(folder, references, files, list(cases))
    rules = _chosen(trial, files)
    output = folder / "postprocessed"
    process(cases, folder, rules, output, files)
    before = scoring.score_folder(folder, references, files, cases)
    after = scoring.score_folder(output, references, files, cases)
    found = {"input_folder": _for_json(before), "postprocessed": _for_json(after)}
    file = write_rules(folder, rules, found)
    means = [{files.name(key): scoring.figure(one["Dice"]) for key, one in s["mean"].items()} for s in (before, after)]
    return Choice(rules, file, means[0], means[1], scoring.mean_dice(before), scoring.mean_dice(after))


def _chosen(trial: "_Trial", files: LabelFiles) -> list[Rule]:
    """The rules that help, in the order they are to be applied."""
    targets = files.targets
    foreground = Rule(tuple(map(int, files.labels.foreground_labels)))
    before, after = trial.means([], dict.fromkeys(targets, foreground))
    better = _mean(after) > _mean(before) and not any(after[target] < before[target] for target in targets)
    rules = [foreground] if better else []
    if len(targets) < 2:
        return rules
    own = {target: Rule(target if isinstance(target, tuple) else (target,)) for target in targets}
    # rules of single labels do not touch each other's voxels, so one look at the cases decides on all of them
    steps = [{target: rule} for target, rule in own.items()] if files.labels.has_regions else [own]
    for step in steps:
        before, after = trial.means(rules, step)
        rules = rules + [rule for target, rule in step.items() if after[target] > before[target]]
    return rules


def _mean(dice: Dice) -> float:
    """Over the targets that have a figure."""
    known = [value for value in dice.values() if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


@dataclass(frozen=True)
class _Trial:
    """Cases on which rules are tried, in memory."""

    folder: Path
    references: Path
    files: LabelFiles
    cases: list[str]

    def means(self, rules: list[Rule], candidates: dict[Target, Rule]) -> tuple[Dice, Dice]:
        """Mean Dice over the cases of each candidate's target: under `rules` alone, and with its candidate after."""

        def one(case: str) -> tuple[Dice, Dice]:
            name = f"{case}{self.files.ending}"
            reader, ignore = self.files.reader, self.files.labels.ignore_label
            reference = reader.read_seg(str(self.references / name))[0][0]
            label_map = apply(rules, reader.read_seg(str(self.folder / name))[0][0])
            changed = {rule: rule.apply(label_map) for rule in set(candidates.values())}
            before = {target: _dice(label_map, reference, target, ignore) for target in candidates}
            return before, {t: _dice(changed[rule], reference, t, ignore) for t, rule in candidates.items()}

        found, failures = batches.attempt(self.cases, one, threads=batches.threads())
        if failures:
            raise batches.BatchError([self.folder / case for case in found], failures, "could be read")
        parts = list(found.values())
        return _over_cases([part[0] for part in parts]), _over_cases([part[1] for part in parts])


def _dice(label_map: NDArray[Any], reference: NDArray[Any], target: Target, ignore: int | None) -> float:
    """nnU-Net's Dice of one target; nan where it is in neither."""
    masks = [region_or_label_to_mask(array, target) for array in (reference, label_map)]
    tp, fp, fn, _ = compute_tp_fp_fn_tn(*masks, None if ignore is None else reference == ignore)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else float("nan")


def _over_cases(parts: list[Dice]) -> Dice:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a label that no case has
        return {target: float(np.nanmean([part[target] for part in parts])) for target in parts[0]}


def _for_json(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        "foreground_mean": summary["foreground_mean"],
        "mean": {str(target): figures for target, figures in summary["mean"].items()},
    }
