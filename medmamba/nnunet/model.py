"""A trained model folder, loaded: preprocessed data in, logits out, label maps and probabilities on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import save_pickle
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray

from ..engine import precision
from ..errors import DataError
from ..files import read_json, replacing
from . import checkpoints, host, presets, trainers
from . import plans as network_plans
from .fast import EngineNetwork


@dataclass(frozen=True)
class Running:
    """How a model is run; see `prediction.predict`."""

    folds: Sequence[int | str] | None
    checkpoint: str
    step_size: float
    mirror: bool
    device: torch.device
    engine: bool
    precision: str


class Model:
    """A model folder of nnU-Net's with the network and the weights of its folds."""

    def __init__(self, folder: Path, running: Running) -> None:
        self.folder, self.running = folder, running
        if not folder.is_dir():
            raise DataError(f"There is no model folder {folder}.", "Train first, or name another folder.")
        self.dataset, self.plans = read_json(folder / "dataset.json"), PlansManager(read_json(folder / "plans.json"))
        loaded = [checkpoints.read(path) for path in checkpoint_files(folder, running.folds, running.checkpoint)]
        first = loaded[0]
        self.configuration = self.plans.get_configuration(first["init_args"]["configuration"])
        self.ending: str = self.dataset["file_ending"]
        self.channels = len(self.dataset.get("channel_names") or self.dataset["modality"])
        with host.muted():
            self.labels = self.plans.get_label_manager(self.dataset)
        self.network = self._network(first["trainer_name"])
        if running.device.type == "cpu" and running.engine:
            self.precision = precision.for_engine(self._wanted_precision() or "auto")
            self.network = EngineNetwork(self.network, self.precision.dtype or torch.float32)
        with host.muted():
            self.predictor = nnUNetPredictor(
                running.step_size, use_mirroring=running.mirror, device=running.device, allow_tqdm=False
            )
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
            self.precision = self._set_precision(first, running.device)

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
        if self.running.precision != "auto":
            return self.running.precision
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

    def logits(self, data: NDArray[Any], previous: NDArray[Any] | None = None) -> torch.Tensor:
        """Preprocessed image (C, *size) and, in a cascade, the previous label map (*size) -> logits, on the CPU."""
        if previous is not None:
            hot = convert_labelmap_to_one_hot(previous, self.labels.foreground_labels, data.dtype)
            data = np.vstack((data, hot))
        with host.muted(), torch.inference_mode():
            logits: torch.Tensor = self.predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
        return logits

    def write(
        self, logits: torch.Tensor, properties: dict[str, Any], file: Path, save_probabilities: bool = False
    ) -> None:
        """Write the label map in the image's own geometry; with its probabilities, CASE.npz and CASE.pkl as nnU-Net.

        The .npz holds `probabilities` (classes or regions, *size of the image), float32; the .pkl the properties that
        nnU-Net's ensembling wants beside it. The label map comes last, so it is there only when the others are.
        """
        with host.muted(), torch.inference_mode():
            label_map = convert_predicted_logits_to_segmentation_with_correct_shape(
                logits,
                self.plans,
                self.configuration,
                self.labels,
                properties,
                return_probabilities=save_probabilities,
                num_threads_torch=torch.get_num_threads(),
            )
            if save_probabilities:
                label_map, probabilities = label_map
                write_probabilities(file.with_name(file.name.removesuffix(self.ending)), probabilities, properties)
            with replacing(file) as temporary:
                self.plans.image_reader_writer_class().write_seg(label_map, str(temporary), properties)


def write_probabilities(stem: Path, probabilities: NDArray[Any], properties: dict[str, Any]) -> None:
    """Write `stem`.npz and `stem`.pkl in nnU-Net's format, each whole or not at all."""
    with replacing(stem.with_name(f"{stem.name}.pkl")) as temporary:
        save_pickle(properties, str(temporary))
    with replacing(stem.with_name(f"{stem.name}.npz")) as temporary:
        np.savez_compressed(temporary, probabilities=probabilities)


def checkpoint_files(folder: Path, folds: Sequence[int | str] | None, checkpoint: str) -> list[Path]:
    """The checkpoint of each fold. Without a choice: of the numbered folds, else of the one trained on all cases.

    Raises DataError when no fold has it.
    """
    if folds is not None:
        return [folder / f"fold_{fold}" / checkpoint for fold in folds]
    found = sorted(folder.glob(f"fold_*/{checkpoint}"))
    numbered = [path for path in found if path.parent.name != "fold_all"]
    if not found:
        others = ", ".join(str(path.relative_to(folder)) for path in sorted(folder.glob("fold_*/*.pth"))) or "none"
        raise DataError(f"{folder} has no {checkpoint} in any fold.", f"Checkpoints there: {others}.")
    return numbered or found
