"""Validate a fold: predict its held-out cases from the preprocessed data and score them, in nnU-Net's files.

Does what nnUNetTrainer.perform_actual_validation does, in this process: no workers, cases that are done stay, and one
bad case does not stop the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnunetv2.inference.export_prediction import resample_and_save

from ... import runtime
from ...errors import DataError
from ...files import replacing
from .. import checkpoints, host
from ..batches import BatchError, OnCase, attempt
from ..loaded import registers
from ..model import Model, Running
from . import held_out, scoring
from .parse import Fold

_STEP = 0.5
"""nnU-Net validates with half-overlapping windows."""


@dataclass(frozen=True)
class Validation:
    """What a fold reaches on the cases it was not trained on."""

    folder: Path
    """fold_X/validation, with a label map per case and summary.json."""
    cases: int
    dice: dict[str, float | None]
    """Label or region -> mean over the cases; None where no case has it."""
    mean_dice: float | None


def validate(
    fold: Path,
    *,
    device: str = "auto",
    engine: bool = True,
    precision: str = "auto",
    save_probabilities: bool = False,
    overwrite: bool = False,
    rank: int = 0,
    world: int = 1,
    barrier: Callable[[], None] | None = None,
    on_case: OnCase | None = None,
) -> Validation | None:
    """Predict and score the validation cases of a fold folder with its checkpoint_final.pth.

    Parameters
    ----------
    fold: fold_X of a model folder. Written are fold_X/validation/CASE.nii.gz and summary.json, and for a configuration
        that others build on, predicted_next_stage/STAGE/CASE.b2nd in the model folder.
    device, engine, precision: as for `medmamba.predict.Predictor`. Mirrored along the axes the model was trained with.
    save_probabilities: also write CASE.npz and CASE.pkl, which ensembles need.
    overwrite: predict cases again whose files are newer than the checkpoint.
    rank, world, barrier: of several processes that share the cases; all call this, and the barrier once.
    on_case: called with (case, cases done, cases in all) of this process.

    Returns None on every process but the first. Raises DataError without a checkpoint or preprocessed data, and
    BatchError at the end when single cases failed; the others are written and scored.
    """
    fold = Path(fold)
    number = _number(fold)
    if registers(fold.parent):
        return _of_pairs(fold, device, on_case, rank, barrier)
    work = _Work(fold, Running([number], checkpoints.FINAL, _STEP, True, runtime.device(device), engine, precision))
    work.save_probabilities = save_probabilities
    failures = work.predict(work.cases[rank::world], overwrite, on_case)
    if barrier is not None:
        barrier()
    return work.score(failures) if rank == 0 else None


def _of_pairs(
    fold: Path, device: str, on_case: OnCase | None, rank: int, barrier: Callable[[], None] | None
) -> Validation | None:
    from ..registration.validation import validate as run

    found = Validation(*run(fold, _number(fold), device=device, on_case=on_case)) if rank == 0 else None
    if barrier is not None:
        barrier()
    return found


def _number(fold: Path) -> Fold:
    text = fold.name.removeprefix("fold_")
    if not (fold.name.startswith("fold_") and (text == "all" or text.isdecimal())):
        raise DataError(f"{fold} is no fold folder.", "Its name is fold_0, fold_1, ... or fold_all.")
    return "all" if text == "all" else int(text)


class _Work:
    """A fold's cases and the files that belong to each."""

    save_probabilities = False

    def __init__(self, fold: Path, running: Running) -> None:
        self.running = running
        self.checkpoint = fold / running.checkpoint
        if not self.checkpoint.is_file():
            raise DataError(f"There is no checkpoint {self.checkpoint}.", "Train this fold to its end first.")
        self.base = fold.parent
        self.folder = fold / "validation"
        self.files = scoring.LabelFiles.of(self.base)
        self.plans = self.files.plans
        self.configuration_name = self.base.name.rpartition("__")[2]
        self.configuration = self.plans.get_configuration(self.configuration_name)
        self.data = held_out.preprocessed_folder(self.plans, self.configuration_name)
        self.dataset_class = held_out.dataset_class(self.data)
        self.cases = held_out.validation_cases(self.plans, self.configuration_name, _number(fold))

    def predict(self, cases: list[str], overwrite: bool, on_case: OnCase | None) -> dict[str, str]:
        """Predict the cases that are not done; case -> reason of those that failed."""
        todo = [case for case in cases if overwrite or not self._done(case)]
        if not todo:
            return {}
        model = Model(self.base, self.running)
        done = len(cases) - len(todo)
        told = None if on_case is None else lambda case, number, _: on_case(case, done + number, len(cases))
        return attempt(todo, lambda case: self._case(model, case), told)[1]

    def _outputs(self, case: str) -> list[Path]:
        """The files that a case is done with."""
        ends = (".npz", ".pkl", self.files.ending) if self.save_probabilities else (self.files.ending,)
        return [*(self.folder / f"{case}{end}" for end in ends), *self._next_stages(case).values()]

    def _next_stages(self, case: str) -> dict[str, Path]:
        """Next stage -> the file it trains on, for the stages that have this case preprocessed."""
        found = {}
        for stage in self.configuration.next_stage_names or ():
            data = self.data.parent / self.plans.get_configuration(stage).data_identifier
            if (data / f"{case}.pkl").is_file():
                ending = ".b2nd" if (data / f"{case}.b2nd").is_file() else ".npz"
                found[stage] = self.base / "predicted_next_stage" / stage / f"{case}{ending}"
        return found

    def _done(self, case: str) -> bool:
        made = self.checkpoint.stat().st_mtime_ns
        return all(file.is_file() and file.stat().st_mtime_ns >= made for file in self._outputs(case))

    def _case(self, model: Model, case: str) -> None:
        data, _, previous, properties = self._load(case)
        logits = model.logits(data[:], None if previous is None else previous[:])
        for stage, file in self._next_stages(case).items():
            self._write_next_stage(logits, properties, case, stage, file)
        model.write(logits, properties, self.folder / f"{case}{self.files.ending}", self.save_probabilities)

    def _load(self, case: str) -> Any:
        stage = self.configuration.previous_stage_name
        earlier = None
        if stage is not None:
            earlier = self.base.with_name(f"{self.base.name.rpartition('__')[0]}__{stage}")
            earlier = earlier / "predicted_next_stage" / self.configuration_name
            if not any(earlier.glob(f"{case}.*")):
                raise DataError(f"{earlier} has no prediction of it: validate {stage} first")
        dataset = self.dataset_class(str(self.data), [case], None if earlier is None else str(earlier))
        return dataset.load_case(case)

    def _write_next_stage(self, logits: Any, properties: dict[str, Any], case: str, stage: str, file: Path) -> None:
        """The label map on the grid of the next stage's preprocessed case."""
        data = self.data.parent / self.plans.get_configuration(stage).data_identifier
        dataset_class = held_out.dataset_class(data)
        shape = dataset_class(str(data), [case]).load_case(case)[0].shape[1:]
        with host.muted(), replacing(file) as temporary:
            resample_and_save(
                logits,
                shape,
                str(temporary.with_suffix("")),
                self.plans,
                self.configuration,
                properties,
                self.files.dataset,
                num_threads_torch=torch.get_num_threads(),
                dataset_class=dataset_class,
            )

    def score(self, failures: dict[str, str]) -> Validation:
        """Write summary.json over the cases that are there. Raises BatchError when some are not."""
        for case in self.cases:
            if case not in failures and not self._done(case):
                failures[case] = "not predicted; another process failed on it"
        there = [case for case in self.cases if case not in failures]
        written = [self.folder / f"{case}{self.files.ending}" for case in there]
        if not there:
            raise BatchError([], failures)
        references = self.data.parent / "gt_segmentations"
        summary = scoring.score_folder(self.folder, references, self.files, there)
        if failures:
            raise BatchError(written, failures)
        dice = {self.files.name(target): scoring.figure(one["Dice"]) for target, one in summary["mean"].items()}
        return Validation(self.folder, len(there), dice, scoring.mean_dice(summary))
