"""Which cases a fold of a model is validated on, and where they lie preprocessed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from ...errors import DataError
from .. import host
from ..loop import fold_splits
from .parse import Fold


def preprocessed_folder(plans: PlansManager, configuration: str) -> Path:
    """Where the preprocessed cases of a configuration are. DataError when there are none, or no such configuration."""
    if configuration not in plans.available_configurations:
        known = ", ".join(plans.available_configurations)
        raise DataError(
            f"Plans of {plans.dataset_name} have no configuration {configuration!r}.", f"They have: {known}."
        )
    place = host.folder("nnUNet_preprocessed") / plans.dataset_name
    folder = place / plans.get_configuration(configuration).data_identifier
    if not any(folder.glob("*.pkl")):
        raise DataError(
            f"{folder} has no preprocessed cases.", f"Run: medmamba preprocess --dataset {plans.dataset_name}"
        )
    return folder


def dataset_class(folder: Path) -> Any:
    """nnU-Net's class that reads the preprocessed cases of a folder. DataError when it holds two kinds of files."""
    try:
        return infer_dataset_class(str(folder))
    except (AssertionError, KeyError) as error:
        raise DataError(
            f"{folder} holds other files than preprocessed cases, or two kinds of these.", "Preprocess it anew."
        ) from error


def validation_cases(plans: PlansManager, configuration: str, fold: Fold) -> list[str]:
    """The cases of a fold's validation, sorted: splits_final.json's, or nnU-Net's own; all of them for fold "all".

    Raises DataError when the dataset is not preprocessed.
    """
    folder = preprocessed_folder(plans, configuration)
    if fold != "all":
        splits = fold_splits.proposed(folder.parent, folder)
        if fold < len(splits):
            return sorted(splits[fold]["val"])
    trainer = SimpleNamespace(
        fold=fold,
        dataset_class=dataset_class(folder),
        preprocessed_dataset_folder=str(folder),
        preprocessed_dataset_folder_base=str(folder.parent),
        folder_with_segs_from_previous_stage=None,
        print_to_log_file=lambda *_, **__: None,
    )
    _, cases = nnUNetTrainer.do_split(trainer)  # a fold beyond the split: nnU-Net draws its cases
    return sorted(map(str, cases))
