"""A trained model folder, loaded: preprocessed data in, logits out, label maps and probabilities on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import save_pickle
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray

from ..files import replacing
from ..predict.arrays.window import slabs
from ..predict.runner import Runner
from . import host
from .loaded import load_folder


@dataclass(frozen=True)
class Running:
    """How a model is run; see `medmamba.predict.Predictor`."""

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
        loaded = load_folder(folder, running.folds, running.checkpoint, earlier_stage=False)
        self.recipe, self.step_size = loaded.recipe, running.step_size
        self.runner = Runner(loaded, running.device, running.precision, running.engine, running.mirror)
        self.plans = PlansManager(dict(loaded.plans))
        self.configuration = self.plans.get_configuration(loaded.recipe.configuration)
        with host.muted():
            self.labels = self.plans.get_label_manager(dict(loaded.dataset))

    def logits(self, data: NDArray[Any], previous: NDArray[Any] | None = None) -> torch.Tensor:
        """Preprocessed image (C, *size) and, in a cascade, the previous label map (*size) -> logits, on the CPU."""
        if previous is not None:
            hot = convert_labelmap_to_one_hot(previous, self.labels.foreground_labels, data.dtype)
            data = np.vstack((data, hot))
        logits = torch.empty((self.recipe.heads, *data.shape[1:]), dtype=torch.half)
        for slab in slabs(data, self.runner, self.recipe, self.step_size):
            logits[:, slab.start : slab.stop] = slab.logits.cpu()
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
                write_probabilities(
                    file.with_name(file.name.removesuffix(self.recipe.file_ending)), probabilities, properties
                )
            with replacing(file) as temporary:
                self.plans.image_reader_writer_class().write_seg(label_map, str(temporary), properties)


def write_probabilities(stem: Path, probabilities: NDArray[Any], properties: dict[str, Any]) -> None:
    """Write `stem`.npz and `stem`.pkl in nnU-Net's format, each whole or not at all."""
    with replacing(stem.with_name(f"{stem.name}.pkl")) as temporary:
        save_pickle(properties, str(temporary))
    with replacing(stem.with_name(f"{stem.name}.npz")) as temporary:
        np.savez_compressed(temporary, probabilities=probabilities)
