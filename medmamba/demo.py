"""The whole way in one call: data, plan, preprocess, train, predict, evaluate, draw."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data.find import dataset_folder
from .data.folders import Folders
from .errors import DataError, MedMambaError
from .files import read_json, write_json

if TYPE_CHECKING:
    from .evaluate.report import Report
    from .nnunet.loop.reports import Watcher

STEPS = ("data", "plan and preprocess", "train", "predict", "evaluate", "draw")
PHANTOMS = 900
"""Number of the phantoms' dataset."""
_TRAINING, _TEST, _SEED = 16, 4, 1
_MOST_HELD_OUT = 6
"""Cases that are predicted at most, so that a demo on a large dataset ends."""


@dataclass(frozen=True)
class DemoOptions:
    """What a demo runs on, with and on which device."""

    out: Path
    """Folder for everything that is written; it becomes a data root."""
    data: Path | None = None
    """An nnU-Net raw dataset folder; None makes phantoms."""
    network: str = "umamba-bot"
    preset: str = "small"
    epochs: int = 4
    iterations: int = 40
    """Training steps an epoch; with four epochs about two minutes on two cores for the phantoms."""
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class DemoResult:
    """What a demo leaves behind."""

    dataset: str
    """Its folder's name."""
    report: "Report"
    """Scores on the held-out cases."""
    report_file: Path
    picture: Path
    model: Path
    """Fold folder of the trained network."""


@dataclass(frozen=True)
class _HeldOut:
    """Cases that training never saw."""

    names: list[str]
    images: list[Path]
    references: Path


def run(
    options: DemoOptions,
    on_step: Callable[[str], None],
    watchers: "Sequence[Watcher]" = (),
) -> DemoResult:
    """Run every step of STEPS, telling `on_step` its name before it begins; `watchers` see the training.

    Raises MedMambaError that names the step in which it failed.
    """
    places = Folders(*(options.out.absolute() / f"nnUNet_{part}" for part in ("raw", "preprocessed", "results")))
    places.export()
    with _step("data", on_step):
        folder = _linked(options.data, places) if options.data else _phantoms(places)
        content = read_json(folder / "dataset.json")
        number = int(folder.name[7:10])
    with _step("plan and preprocess", on_step):
        from .nnunet.preparation import preprocess

        preprocess(number, network=options.network, preset=options.preset, configurations=["3d_fullres"])
    with _step("train", on_step):
        model = _train(number, options, watchers)
        held_out = _held_out(folder, places, content["file_ending"])
    predictions = options.out / "predictions" / folder.name
    with _step("predict", on_step):
        from .predict.predictor import Predictor

        predictor = Predictor(model.parent, folds=[0], mirror=False, device=options.device)
        predictor.segment(held_out.images, predictions)
    with _step("evaluate", on_step):
        from .evaluate.folder import evaluate_folder
        from .evaluate.targets import rules_of

        ending = content["file_ending"]
        report = evaluate_folder(predictions, held_out.references, rules_of(content), held_out.names, jobs=1)
        for case, problem in report.failures.items():
            raise DataError(f"Case {case} cannot be scored: {problem}.", "Look at this file first.")
        report_file = options.out / f"{folder.name}_report.json"
        write_json(report_file, report.as_json())
    with _step("draw", on_step):
        picture = _draw(options, folder.name, held_out, predictions, ending)
    return DemoResult(folder.name, report, report_file, picture, model)


@contextmanager
def _step(name: str, on_step: Callable[[str], None]) -> Iterator[None]:
    """Tell that a step begins; an error in it comes out as a MedMambaError that names the step."""
    on_step(name)
    try:
        yield
    except MedMambaError as error:
        error.problem = f"The demo stopped in step {name!r}: {error.problem}"  # its kind and exit code stay
        error.args = (f"{error.problem} {error.remedy}".strip(),)
        raise
    except Exception as error:
        raise MedMambaError(
            f"The demo failed in step {name!r}: {type(error).__name__}: {error}",
            "MEDMAMBA_DEBUG=1 shows the whole story, `medmamba doctor` what the machine lacks.",
        ) from error


def _phantoms(places: Folders) -> Path:
    from .data.phantoms import write_dataset

    folder = places.raw / f"Dataset{PHANTOMS:03d}_Phantoms"
    return folder if folder.is_dir() else write_dataset(places.raw, PHANTOMS, "Phantoms", _TRAINING, _TEST, _SEED)


def _linked(data: Path, places: Folders) -> Path:
    """A link in the demo's raw folder to a dataset that lies elsewhere: nothing is copied, nothing written there."""
    source = data.absolute()
    if not (source / "dataset.json").is_file():
        raise DataError(f"{data} has no dataset.json.", "Give an nnU-Net raw dataset folder, .../DatasetXXX_Name.")
    name = source.resolve().name
    if not (name.startswith("Dataset") and name[7:10].isdigit() and name[10:11] == "_"):
        raise DataError(f"{data} is not called DatasetXXX_Name.", "Rename the folder as nnU-Net wants it.")
    places.raw.mkdir(parents=True, exist_ok=True)
    link = places.raw / name
    if not link.exists():
        link.unlink(missing_ok=True)  # a link to a dataset that has moved
        link.symlink_to(source.resolve(), target_is_directory=True)
    return dataset_folder(int(name[7:10]), places)


def _train(number: int, options: DemoOptions, watchers: "Sequence[Watcher]") -> Path:
    from .nnunet.training import TrainOptions, train

    wanted = TrainOptions(
        network=options.network,
        preset=options.preset,
        epochs=options.epochs,
        iterations=options.iterations,
        device=options.device,
        seed=options.seed,
    )
    return train(number, wanted, watchers)


def _held_out(folder: Path, places: Folders, ending: str) -> _HeldOut:
    """Test cases with labels where the dataset has some, else the validation cases of fold 0."""
    if any((folder / "labelsTs").glob(f"*{ending}")):
        split = "Ts"
        names = sorted(path.name.removesuffix(ending) for path in (folder / "labelsTs").glob(f"*{ending}"))
    else:
        split = "Tr"
        splits: Any = _first_split(places.preprocessed / folder.name / "splits_final.json")
        names = sorted(splits["val"])
    names = names[:_MOST_HELD_OUT]
    images = [
        path
        for name in names
        for path in sorted((folder / f"images{split}").glob(f"{name}_[0-9][0-9][0-9][0-9]{ending}"))
    ]
    return _HeldOut(names, images, folder / f"labels{split}")


def _first_split(path: Path) -> Any:
    import json

    return json.loads(path.read_text(encoding="utf-8"))[0]


def _draw(options: DemoOptions, dataset: str, held_out: _HeldOut, predictions: Path, ending: str) -> Path:
    from .evaluate.overlay import draw_overlay

    picture = options.out / f"{dataset}_overlay.png"
    name = held_out.names[0]
    title = f"{name}: {options.network}, held out from training"
    label = f"{name}{ending}"
    draw_overlay(held_out.images[0], predictions / label, held_out.references / label, picture, title)
    return picture
