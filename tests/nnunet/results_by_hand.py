"""Results folders with random weights, as nnU-Net's training leaves them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from medmamba.files import write_json
from medmamba.nnunet.recipe import make_network
from tests.nnunet import plans_by_hand


def write_results(
    folder: Path,
    configuration: str = "3d_fullres",
    folds: Sequence[int | str] = (0,),
    plans: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    trainer: str = "nnUNetTrainer",
    mirror_axes: Sequence[int] | None = (0, 1, 2),
    name: str = "nnUNetPlans",
) -> Path:
    """Write `folder`/TRAINER__PLANS__CONFIGURATION and return it. Every fold has weights of its own."""
    plans, dataset = plans or plans_by_hand.plans(), dataset or plans_by_hand.dataset()
    place = folder / f"{trainer}__{name}__{configuration}"
    write_json(place / "plans.json", plans)
    write_json(place / "dataset.json", dataset)
    for seed, fold in enumerate(folds):
        torch.manual_seed(seed)
        network = make_network(plans, dataset, configuration, None)
        content = {
            "network_weights": network.state_dict(),
            "optimizer_state": {"momentum": [torch.zeros(3)]},
            "logging": {"ema_fg_dice": [0.5]},
            "init_args": {"configuration": configuration, "fold": fold},
            "trainer_name": trainer,
            "inference_allowed_mirroring_axes": None if mirror_axes is None else tuple(mirror_axes),
            "current_epoch": 1,
        }
        (place / f"fold_{fold}").mkdir()
        torch.save(content, place / f"fold_{fold}" / "checkpoint_final.pth")
    return place
