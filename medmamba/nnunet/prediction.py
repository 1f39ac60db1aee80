"""Predict with a trained model folder through nnU-Net's sliding window, case by case in this process."""

import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .. import runtime
from ..data.integrity import check_image
from ..errors import ConfigError, DataError
from ..files import write_json
from . import checkpoints, host, presets, trainers
from .batches import BatchError, OnCase, attempt
from .model import Model, Running

Cases = dict[str, list[Path]]
"""Case name -> its image files in channel order."""


def model_folder(
    dataset_id: int, network: str, preset: str = presets.DEFAULT, configuration: str = "3d_fullres"
) -> Path:
    """Where `train` puts the model of a dataset, network, preset and configuration. It may not exist yet."""
    name = host.dataset_name(dataset_id)
    trainer = trainers.for_network(network).__name__
    return host.folder("nnUNet_results") / name / f"{trainer}__{presets.plans_name(network, preset)}__{configuration}"


def predict(
    model_folder: Path,
    images: Path | Sequence[Path],
    output: Path,
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint: str = checkpoints.FINAL,
    step_size: float = 0.5,
    mirror: bool = True,
    device: str = "auto",
    engine: bool = True,
    precision: str = "auto",
    overwrite: bool = True,
    save_probabilities: bool = False,
    on_case: OnCase | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Path]:
    """Write a label map for every case and return the files.

    Parameters
    ----------
    model_folder: nnU-Net's TRAINER__PLANS__CONFIGURATION folder.
    images: a folder of CASE_0000.nii.gz files, or such files; channels of one case are put together by name.
    output: folder for CASE.nii.gz. Each file appears only when it is complete.
    folds: which to average; None: all that have the checkpoint.
    step_size: distance of neighbouring windows as a fraction of the patch.
    mirror: average over mirrored inputs, along the axes the model was trained with.
    engine: on a CPU run the network in its fast form (`medmamba.engine`); False: as torch does it.
    precision: fp32, bf16, fp16 (GPUs only) or auto: what the model's recipe asks for, else what the machine does best.
    overwrite: predict cases again whose files are there already.
    save_probabilities: also write CASE.npz and CASE.pkl, which ensembles of several models are made from.
    on_case: called with (case, cases done, cases in all) after each case.
    say: told the precision that was taken and why, such as "fp32 (this CPU has no bf16 matrix units)".

    A cascade's second stage predicts the first one with the model folder beside it. Raises DataError when the model or
    the images cannot be found, and BatchError at the end when single cases failed.
    """
    chosen = runtime.device(device)
    model = Model(Path(model_folder), Running(folds, checkpoint, step_size, mirror, chosen, engine, precision))
    if say is not None:
        say(str(model.precision))
    cases = group(images, model.ending, model.channels)
    return _run(model, cases, Path(output), overwrite, save_probabilities, on_case)


def group(images: Path | Sequence[Path], ending: str, channels: int) -> Cases:
    """Image files by case, channels in order. A file without a channel number is a case of its own.

    Raises DataError when there is no such file. Cases that lack channels are kept: they fail on their own.
    """
    paths = [Path(images)] if isinstance(images, str | Path) else [Path(path) for path in images]
    files = [file for path in paths for file in (sorted(path.glob(f"*{ending}")) if path.is_dir() else [path])]
    missing = [str(file) for file in files if not file.exists()]
    if missing or not files:
        where = ", ".join(missing or map(str, paths))
        raise DataError(
            f"No image to predict: {where}.", f"The model was trained on {channels} channel(s), files *{ending}."
        )
    cases: Cases = {}
    for file in sorted(files):
        name = file.name.removesuffix(ending)
        cases.setdefault(re.sub(r"_\d{4}$", "", name), []).append(file)
    return cases


def _run(
    model: Model,
    cases: Cases,
    output: Path,
    overwrite: bool,
    save_probabilities: bool = False,
    on_case: OnCase | None = None,
) -> list[Path]:
    """Predict all cases; a case that fails does not keep the next one from being tried."""
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "dataset.json", model.dataset)
    write_json(output / "plans.json", model.plans.plans)
    with tempfile.TemporaryDirectory() as temporary:
        previous = _previous_stage(model, cases, Path(temporary))

        def one(case: str) -> Path:
            file = output / f"{case}{model.ending}"
            wanted = [file, *(output / f"{case}{end}" for end in (".npz", ".pkl") if save_probabilities)]
            if overwrite or not all(path.is_file() for path in wanted):
                _case(model, case, cases[case], previous, file, save_probabilities)
            return file

        written, failures = attempt(cases, one, on_case)
    if failures:
        raise BatchError(list(written.values()), failures)
    return list(written.values())


def _case(
    model: Model, case: str, files: list[Path], previous: Path | None, file: Path, save_probabilities: bool
) -> None:
    if len(files) != model.channels:
        raise DataError(f"{len(files)} image file(s), but the model takes {model.channels} channel(s)")
    for path in files:
        check_image(path)
    earlier = None if previous is None else str(previous / f"{case}{model.ending}")
    with host.muted():
        preprocessor = model.configuration.preprocessor_class(verbose=False)
        data, segmentation, properties = preprocessor.run_case(
            [str(path) for path in files], earlier, model.plans, model.configuration, model.dataset
        )
    logits = model.logits(data, None if earlier is None else segmentation[0])
    model.write(logits, properties, file, save_probabilities)


def _previous_stage(model: Model, cases: Cases, folder: Path) -> Path | None:
    """Predict the stage that a cascade builds on with the model beside this one; None without a cascade."""
    stage = model.configuration.previous_stage_name
    if stage is None:
        return None
    place = model.folder.with_name(f"{model.folder.name.rpartition('__')[0]}__{stage}")
    if not place.is_dir():
        raise ConfigError(
            f"This is a cascade's second stage and there is no first one in {place}.", f"Train {stage} first."
        )
    with suppress(BatchError):  # such a case fails again in this stage, and is reported there
        _run(Model(place, model.running), cases, folder, overwrite=True)
    return folder
