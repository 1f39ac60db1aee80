"""Predict with a trained model folder through nnU-Net's sliding window, case by case in this process."""

import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from .. import runtime
from ..data.integrity import check_image
from ..errors import ConfigError, DataError
from ..files import read_json, replacing, write_json
from . import checkpoints, host, precision, presets, trainers
from . import plans as network_plans
from .fast import EngineNetwork, engine_precision

Cases = dict[str, list[Path]]
"""Case name -> its image files in channel order."""


class BatchError(DataError):
    """Some cases of a batch failed. The others are done: `written` are their files, `failures` maps case -> reason."""

    def __init__(self, written: list[Path], failures: dict[str, str]) -> None:
        self.written = written
        self.failures = failures
        reasons = "; ".join(f"{case}: {reason}" for case, reason in failures.items())
        total = len(written) + len(failures)
        super().__init__(
            f"{len(failures)} of {total} cases failed: {reasons}.", f"{len(written)} predictions were written."
        )


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
    on_case: Callable[[str, int, int], None] | None = None,
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
    overwrite: predict cases again whose file is there already.
    on_case: called with (case, cases done, cases in all) after each case.
    say: told the precision that was taken and why, such as "fp32 (this CPU has no bf16 matrix units)".

    A cascade's second stage predicts the first one with the model folder beside it. Raises DataError when the model or
    the images cannot be found, and BatchError at the end when single cases failed.
    """
    chosen = runtime.device(device)
    runner = _Runner(Path(model_folder), folds, checkpoint, step_size, mirror, chosen, engine, precision)
    if say is not None:
        say(str(runner.precision))
    cases = group(images, runner.ending, runner.channels)
    return runner.run(cases, Path(output), overwrite, on_case)


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


class _Runner:
    """A loaded model and what it takes to run it over cases."""

    def __init__(
        self,
        folder: Path,
        folds: Sequence[int | str] | None,
        checkpoint: str,
        step_size: float,
        mirror: bool,
        device: torch.device,
        engine: bool,
        number_format: str,
    ) -> None:
        self._arguments = (folds, checkpoint, step_size, mirror, device, engine, number_format)
        self.asked = number_format
        self.folder = folder
        if not folder.is_dir():
            raise DataError(f"There is no model folder {folder}.", "Train first, or name another folder.")
        self.dataset, self.plans = read_json(folder / "dataset.json"), PlansManager(read_json(folder / "plans.json"))
        loaded = [checkpoints.read(path) for path in _checkpoint_files(folder, folds, checkpoint)]
        first = loaded[0]
        self.configuration = self.plans.get_configuration(first["init_args"]["configuration"])
        self.ending: str = self.dataset["file_ending"]
        self.channels = len(self.dataset.get("channel_names") or self.dataset["modality"])
        self.labels = self.plans.get_label_manager(self.dataset)
        self.network = self._network(first["trainer_name"])
        if device.type == "cpu" and engine:
            self.precision = engine_precision(self._wanted_precision() or "auto")
            self.network = EngineNetwork(self.network, self.precision.dtype or torch.float32)
        with host.muted():
            self.predictor = nnUNetPredictor(step_size, use_mirroring=mirror, device=device, allow_tqdm=False)
            self.predictor.manual_initialization(
                self.network,
                self.plans,
                self.configuration,
                [content["network_weights"] for content in loaded],
                self.dataset,
                first["trainer_name"],
                first.get("inference_allowed_mirroring_axes"),
            )
        if not isinstance(self.network, EngineNetwork):
            self.precision = self._set_precision(first, device)

    def _network(self, trainer_name: str) -> torch.nn.Module:
        """The network that the trainer builds; nnU-Net's slow search is only for trainers that are not ours."""
        trainer: Any = trainers.by_name(trainer_name)
        if trainer is None:
            stock = trainer_name == nnUNetTrainer.__name__
            with host.muted():
                trainer = nnUNetTrainer if stock else recursive_find_trainer_class_by_name(trainer_name)
        network: torch.nn.Module = trainer.build_network_architecture(
            self.plans,
            self.configuration,
            determine_num_input_channels(self.plans, self.configuration, self.dataset),
            self.labels.num_segmentation_heads,
            enable_deep_supervision=False,
        )
        return network

    def _wanted_precision(self) -> str | None:
        """What the caller asks for, else the recipe of one of our networks; None for any other network."""
        if self.asked != "auto":
            return self.asked
        carried = network_plans.carried_network(self.configuration.configuration)
        stamp = self.plans.plans.get(network_plans.STAMP, {"preset": presets.DEFAULT})
        return None if carried is None else presets.preset(carried, stamp["preset"]).recipe.precision

    def _set_precision(self, checkpoint: dict[str, Any], device: torch.device) -> precision.Precision:
        """Run our networks in the format the machine does best; others stay with what nnU-Net does."""
        wanted = self._wanted_precision()
        if wanted is None:
            return precision.Precision(torch.float16 if device.type == "cuda" else None, "nnU-Net's own way")
        self.network.load_state_dict(checkpoint["network_weights"])
        self.network.to(device).eval()
        channels = determine_num_input_channels(self.plans, self.configuration, self.dataset)
        example = torch.ones((1, channels, *self.configuration.patch_size), device=device)
        trial = precision.timed_step(self.network, example, backward=False)
        chosen = precision.choose(wanted, device, trial)
        precision.apply(self.network, chosen, device)
        return chosen

    def run(
        self, cases: Cases, output: Path, overwrite: bool, on_case: Callable[[str, int, int], None] | None = None
    ) -> list[Path]:
        """Predict all cases; a case that fails does not keep the next one from being tried."""
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / "dataset.json", self.dataset)
        write_json(output / "plans.json", self.plans.plans)
        with tempfile.TemporaryDirectory() as temporary:
            previous = self._previous_stage(cases, Path(temporary))
            written: list[Path] = []
            failures: dict[str, str] = {}
            for done, (case, files) in enumerate(cases.items(), start=1):
                file = output / f"{case}{self.ending}"
                try:
                    if overwrite or not file.is_file():
                        self._case(case, files, previous, file)
                    written.append(file)
                except Exception as error:  # whatever is wrong with one case, the others are still wanted
                    failures[case] = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                if on_case is not None:
                    on_case(case, done, len(cases))
        if failures:
            raise BatchError(written, failures)
        return written

    def _case(self, case: str, files: list[Path], previous: Path | None, file: Path) -> None:
        if len(files) != self.channels:
            raise DataError(f"{len(files)} image file(s), but the model takes {self.channels} channel(s)")
        for path in files:
            check_image(path)
        earlier = None if previous is None else str(previous / f"{case}{self.ending}")
        with host.muted(), torch.inference_mode():
            preprocessor = self.configuration.preprocessor_class(verbose=False)
            data, segmentation, properties = preprocessor.run_case(
                [str(path) for path in files], earlier, self.plans, self.configuration, self.dataset
            )
            if earlier is not None:
                hot = convert_labelmap_to_one_hot(segmentation[0], self.labels.foreground_labels, data.dtype)
                data = np.vstack((data, hot))
            logits = self.predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
            label_map = convert_predicted_logits_to_segmentation_with_correct_shape(
                logits,
                self.plans,
                self.configuration,
                self.labels,
                properties,
                num_threads_torch=torch.get_num_threads(),
            )
            with replacing(file) as temporary:
                self.plans.image_reader_writer_class().write_seg(label_map, str(temporary), properties)

    def _previous_stage(self, cases: Cases, folder: Path) -> Path | None:
        """Predict the stage that a cascade builds on with the model beside this one; None without a cascade."""
        stage = self.configuration.previous_stage_name
        if stage is None:
            return None
        model = self.folder.with_name(f"{self.folder.name.rpartition('__')[0]}__{stage}")
        if not model.is_dir():
            raise ConfigError(
                f"This is a cascade's second stage and there is no first one in {model}.", f"Train {stage} first."
            )
        with suppress(BatchError):  # such a case fails again in this stage, and is reported there
            _Runner(model, *self._arguments).run(cases, folder, overwrite=True)
        return folder


def _checkpoint_files(folder: Path, folds: Sequence[int | str] | None, checkpoint: str) -> list[Path]:
    """The checkpoint of each fold. Without a choice: of the numbered folds, else of the one trained on all cases."""
    if folds is not None:
        return [folder / f"fold_{fold}" / checkpoint for fold in folds]
    found = sorted(folder.glob(f"fold_*/{checkpoint}"))
    numbered = [path for path in found if path.parent.name != "fold_all"]
    if not found:
        others = ", ".join(str(path.relative_to(folder)) for path in sorted(folder.glob("fold_*/*.pth"))) or "none"
        raise DataError(f"{folder} has no {checkpoint} in any fold.", f"Checkpoints there: {others}.")
    return numbered or found
