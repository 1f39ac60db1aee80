"""Validate a registration network: register its fold's held-out pairs and score them, in files as nnU-Net has them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from ... import runtime
from ...blocks.warp import warp
from ...errors import DataError
from ...files import read_json, write_json
from ...register.metrics import sdlogj
from ...register.network import RegistrationModel
from ...register.similarity import BY_NAME, choose
from ...register.trained import load_results
from .. import plans as network_plans
from .. import presets
from ..batches import BatchError, OnCase, attempt
from ..folds import held_out
from ..folds.parse import Fold
from ..loop.stream import Phase, Share
from .batches import PairBatches
from .cases import Cases
from .objective import counts, field_figures
from .options import RegistrationRecipe
from .pairing import Pairing, read_pairing

_SEED = 0
"""Of what moves the images of one case apart."""


def validate(
    fold: Path, name: Fold, *, device: str = "auto", on_case: OnCase | None = None
) -> tuple[Path, int, dict[str, float | None], float | None]:
    """Register and score the validation pairs of a fold folder; write validation/summary.json.

    Each pair is aligned by an affine map, registered by the network alone, and its labels are warped once, linearly.

    Returns (folder, pairs, label -> mean Dice over the pairs, mean of these). Raises DataError without a checkpoint or
    preprocessed data, BatchError at the end when single pairs failed.
    """
    work = _Work(fold, name, runtime.device(device))
    pairs = [f"{number:03d}" for number in range(work.count)]
    rows, failures = attempt(pairs, lambda pair: work.scored(int(pair)), on_case)
    if failures and not rows:
        raise BatchError([], failures)
    folder = fold / "validation"
    summary = _summary(list(rows.values()), work.pairing)
    write_json(folder / "summary.json", summary)
    if failures:
        raise BatchError([folder / "summary.json"], failures)
    means = {name: summary["mean"][str(value)]["Dice"] for name, value in work.pairing.labels.items()}
    return folder, len(rows), means, summary["foreground_mean"]["Dice"]


class _Work:
    """A fold's pairs and the network."""

    def __init__(self, fold: Path, name: Fold, device: torch.device) -> None:
        base = fold.parent
        plans, dataset = read_json(base / "plans.json"), read_json(base / "dataset.json")
        configuration = base.name.rpartition("__")[2]
        whole = network_plans.resolve(plans, configuration)
        self.model: RegistrationModel = load_results(base, [name]).to(device)
        self._device = device
        self.pairing = read_pairing(dataset)
        manager = PlansManager(plans)
        data = held_out.preprocessed_folder(manager, configuration)
        names = held_out.validation_cases(manager, configuration, name)
        others = sorted({path.stem for path in data.glob("*.pkl")} - set(names))
        pairs = self.pairing.tested(names, others)
        if not pairs:
            raise DataError(f"The {len(names)} case(s) of {fold} make no pair.", "Validate another fold.")
        used = sorted({image.case for pair in pairs for image in pair})
        cases = Cases(held_out.dataset_class(data)(str(data), used), plans, whole)
        use = self.model.use
        if use.spacing is None or use.size is None:
            raise DataError(f"{base} does not say on which grid its network works.", "Train it again.")
        recipe = _recipe(plans)
        if recipe.align and self.pairing.kind != "intra":
            cases.align(data, used, self.pairing.fixed_channel, use.spacing)
        self.count = len(pairs)
        share = Share(0, 1, 1)
        self._batches = PairBatches(
            cases,
            names,
            self.pairing,
            use.size,
            use.spacing,
            _SEED,
            Phase.VALIDATION,
            share,
            recipe.augmentation,
            others,
        )
        self._similarity = choose(use.modalities[0] == use.modalities[1])

    def scored(self, number: int) -> dict[str, Any]:
        """One pair's figures."""
        batch = self._batches[0, number]
        data, target = batch["data"].to(self._device), batch["target"].to(self._device)
        fixed, moving, *inside = data.split(1, dim=1)
        displacement = self.model.displacement(fixed, moving)
        labels, others = target.chunk(2, dim=1)
        similarity = BY_NAME[self._similarity]
        return {
            "pair": batch["keys"][0],
            "before": _dice(labels, others),
            "after": _dice(labels, warp(others, displacement)),
            "similarity_before": -float(similarity(fixed, moving, inside[0])),
            "similarity": -float(similarity(fixed, warp(moving, displacement), inside[0])),
            **field_figures(displacement),
            "sdlogj": sdlogj(displacement[0].permute(1, 2, 3, 0).cpu().numpy()),
        }


def _recipe(plans: Any) -> RegistrationRecipe:
    stamp = plans[network_plans.STAMP]
    return presets.preset(stamp["network"], stamp["preset"]).recipe.registration or RegistrationRecipe.model_validate(
        {}
    )


def _dice(fixed: torch.Tensor, warped: torch.Tensor) -> list[float | None]:
    """Of each label; None where neither side has it."""
    if not fixed.shape[1]:
        return []
    both, more, less = (part.tolist() for part in counts(fixed, warped))
    sizes = [(b, 2 * b + m + n) for b, m, n in zip(both, more, less, strict=True)]
    return [2 * b / size if size else None for b, size in sizes]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _summary(rows: Sequence[dict[str, Any]], pairing: Pairing) -> dict[str, Any]:
    """nnU-Net's summary.json with pairs for cases, and what registration is judged by besides."""
    values = [str(value) for value in pairing.labels.values()]

    def per_label(when: str) -> dict[str, dict[str, float | None]]:
        return {value: {"Dice": _mean([row[when][at] for row in rows])} for at, value in enumerate(values)}

    def over_all(when: str) -> float | None:
        return _mean([_mean(row[when]) for row in rows])

    numbers = [key for key, value in rows[0].items() if isinstance(value, float)]
    return {
        "metric_per_case": [
            {**row, "metrics": {value: {"Dice": dice} for value, dice in zip(values, row["after"], strict=True)}}
            for row in rows
        ],
        "mean": per_label("after"),
        "foreground_mean": {"Dice": over_all("after")},
        "registration": {
            "pairs": len(rows),
            "dice_before": over_all("before"),
            **{key: _mean([row[key] for row in rows]) for key in numbers},
        },
    }
