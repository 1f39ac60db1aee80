"""What the scan buys: a network and its twins without it, trained alike and scored on the same held-out cases."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, DataError
from .files import read_json, writable, write_json

if TYPE_CHECKING:
    from .evaluate.compare import Comparison
    from .evaluate.runs import Run
    from .nnunet.folds.parse import Fold
    from .nnunet.loop.reports import Watcher
    from .nnunet.training import TrainOptions

FILE = "twins.json"
SCAN = "scan"
"""What the network itself is called among its twins."""
Announce = Callable[[str, str], None]
"""Told (who, what is done) before each step: ("conv", "fold 0: train")."""


@dataclass(frozen=True)
class TwinOptions:
    """What is compared."""

    training: "TrainOptions"
    """Of the network itself; its twins differ in the preset alone. `fold` is not looked at."""
    folds: "Sequence[Fold]"
    twins: Sequence[str] = ("conv",)
    """Of `medmamba.nnunet.presets.TWINS`."""
    out: Path = Path("medmamba_twins")
    """Folder for NAME/fold_K/metrics.json of each, and twins.json."""
    measures: Sequence[str] = ("dice", "nsd", "hd95_mm")
    most: int = 10
    """As for `medmamba.evaluate.compare.compare`."""


@dataclass(frozen=True)
class Outcome:
    """What came out."""

    comparisons: "dict[str, Comparison]"
    """Twin -> the network against it; the difference is what the scan adds."""
    seconds: dict[str, float]
    """SCAN or twin -> of an epoch, median over all epochs of all folds."""
    file: Path

    def as_json(self) -> dict[str, Any]:
        """For twins.json."""
        compared = {twin: one.as_json() for twin, one in self.comparisons.items()}
        return {"seconds_an_epoch": self.seconds, "comparisons": compared}


def run(dataset_id: int, options: TwinOptions, announce: Announce, watchers: "Sequence[Watcher]" = ()) -> Outcome:
    """Train what is not trained yet, score the held-out cases of each fold, and test the differences.

    Patch size and batch size of the twins are those of the network's plan. What is trained to its end is taken as it
    is, what was begun goes on. Raises ConfigError for a registration network or fold "all", which holds nothing out,
    and what training raises.
    """
    from .evaluate.compare import compare
    from .evaluate.runs import Method
    from .nnunet.presets import twin_name

    _check(options)
    with writable(options.out):  # before hours of training
        options.out.mkdir(parents=True, exist_ok=True)
    training = replace(_sized(dataset_id, options.training), resume=True, validation=True)
    presets = {SCAN: training.preset} | {twin: twin_name(training.preset, twin) for twin in options.twins}
    methods, seconds = {}, {}
    for who, preset in presets.items():
        runs, epochs = [], []
        for fold in options.folds:
            announce(who, f"fold {fold}: train")
            folder = _train(dataset_id, replace(training, preset=preset, fold=fold), watchers)
            announce(who, f"fold {fold}: evaluate")
            runs.append(_scored(dataset_id, folder, options.out / who / folder.name))
            epochs += _seconds(folder)
        methods[who] = Method(who, tuple(runs))
        seconds[who] = statistics.median(epochs) if epochs else 0.0
    pairs = {twin: [methods[twin], methods[SCAN]] for twin in options.twins}
    compared = {twin: compare(pair, options.measures, options.most) for twin, pair in pairs.items()}
    outcome = Outcome(compared, seconds, options.out / FILE)
    with writable(outcome.file):
        write_json(outcome.file, outcome.as_json())
    return outcome


def _check(options: TwinOptions) -> None:
    from .networks import info

    network = options.training.network
    if info(network).task == "registration":
        problem = f"{network} registers images; twins are compared by the labels of segmentation networks."
        raise ConfigError(problem, "See medmamba bench register for registration.")
    if "all" in options.folds:
        raise ConfigError("Fold all holds no case out, so there is nothing to compare on.", "Use --folds 0-4.")
    if not options.twins:
        raise ConfigError("No twin is named.", "Give --twin conv, --twin identity, or both.")


def _sized(dataset_id: int, training: "TrainOptions") -> "TrainOptions":
    """With the plan's patch and batch: a twin's own plan could have others, for it needs less memory."""
    from .nnunet import host
    from .nnunet.plans import resolve
    from .nnunet.training import run_plans

    planned = resolve(run_plans(host.dataset_name(dataset_id), training), training.configuration)
    return replace(training, patch_size=tuple(planned["patch_size"]), batch_size=int(planned["batch_size"]))


def _train(dataset_id: int, training: "TrainOptions", watchers: "Sequence[Watcher]") -> Path:
    from .nnunet.training import train

    return train(dataset_id, training, watchers)


def _scored(dataset_id: int, fold: Path, out: Path) -> "Run":
    """The held-out cases of a fold folder, scored against the labels they have; metrics.json is written into `out`."""
    from .evaluate.folder import evaluate_folder
    from .evaluate.runs import read_run
    from .evaluate.targets import rules_of
    from .nnunet import host

    data = host.folder("nnUNet_preprocessed") / host.dataset_name(dataset_id)
    content = read_json(data / "dataset.json")
    there, ending = fold / "validation", content["file_ending"]
    cases = [path.name.removesuffix(ending) for path in there.glob(f"*{ending}")]
    report = evaluate_folder(there, data / "gt_segmentations", rules_of(content), cases)
    for case, problem in report.failures.items():
        raise DataError(f"Case {case} cannot be scored: {problem}.", f"Delete {there} and run this again.")
    report.write(out)
    return read_run(out)


def _seconds(fold: Path) -> list[float]:
    from .nnunet.watching.history import NAME, read_history

    return [float(epoch["seconds"]) for epoch in read_history(fold / NAME)]
