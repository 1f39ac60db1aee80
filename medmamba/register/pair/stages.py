"""The stages of a registration, one after the other: affine, first field, optimisation."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..affine import AffineResult, align
from ..deform import fields
from ..deform.instance import optimise
from ..deform.search import search
from ..deform.sides import Deformation, Settings, Sides
from ..grid import Grid
from ..images import Volume, onto
from ..intensity import same_contrast
from ..similarity import choose
from ..transforms.transform import Affine, Field, Transform
from .checks import Pair
from .options import Options
from .workspace import Guides, Scene, scene, sides

if TYPE_CHECKING:
    from ..network import RegistrationModel


_AUTO_LABELS = 5.0
"""Weight of labels that a network found in both images: they lead, intensities fill in between."""


class Watcher:
    """Is told how a registration goes on; does nothing with it. What it raises ends the registration."""

    def stage(self, name: str) -> None:
        """A stage begins: read, labels, affine, network, search, optimise, measure, write, picture."""

    def step(self, done: int, total: int) -> None:
        """So much of the stage is done."""

    def message(self, text: str) -> None:
        """A sentence for the user."""


@dataclass(eq=False)
class Course:
    """What was done with a pair, as it goes on."""

    watcher: Watcher
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage: wall."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """By stage: of the processor, all threads."""
    warnings: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    """What was decided on the way, for the report."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Tell of a stage and take its time."""
        self.watcher.stage(name)
        started, used = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + time.process_time() - used


@dataclass(frozen=True, eq=False)
class Deformed:
    """The deformable part: fixed points to fixed points, and back, on the work grid."""

    forward: Field
    back: Field
    losses: list[list[float]]


def affine_stage(pair: Pair, options: Options, guides: Guides, grid: Grid, course: Course) -> tuple[AffineResult, bool]:
    """The affine map, and whether both images show one contrast.

    The first affine goes by mutual information, which holds for any two contrasts. Only when that has brought the
    images together can be told whether their contrasts are the same; then correlation, which is sharper, takes over.
    With labels that guide there is one more, of the labels; the one under which these overlap most is taken.
    """
    fixed, moving = pair.fixed.scaled, pair.moving.scaled

    def aligned(same: bool) -> AffineResult:
        masks = {"fixed_mask": pair.fixed.mask, "moving_mask": pair.moving.mask}
        how: dict[str, Any] = {"kind": options.affine, "init": options.init, "same_modality": same, **masks}
        return align(fixed, moving, start=pair.start, seed=options.seed, **how)

    first = aligned(False)
    seen = scene(fixed, moving, Transform((first.transform,)), grid)
    modalities = {pair.fixed.scheme.modality, pair.moving.scheme.modality}
    same, share = (False, 0.0) if len(modalities) > 1 else same_contrast(seen.fixed, seen.moving, seen.inside)
    course.notes["contrast"] = {"same": same, "share": round(share, 3)}
    if options.affine == "none":
        return first, same
    found = aligned(True) if same else first
    if not guides.labels:
        return found, same
    first_labels, second_labels = (_painted(volumes) for volumes in zip(*guides.labels, strict=True))
    of_labels = align(
        first_labels, second_labels, options.affine, options.init, True, start=pair.start, seed=options.seed
    )
    return max(found, of_labels, key=lambda result: _agreement(guides, result.transform, grid)), same


def _painted(labels: Sequence[Volume]) -> Volume:
    """One image out of the shares of several structures, each in its own brightness."""
    total = sum((number + 1) / len(labels) * one.data for number, one in enumerate(labels))
    return replace(labels[0], data=np.asarray(total, np.float32))


def _agreement(guides: Guides, affine: Affine, grid: Grid) -> float:
    """Mean over the structures of the soft Dice of fixed and moving labels."""
    dice = []
    for fixed, moving in guides.labels:
        seen = scene(fixed, moving, Transform((affine,)), grid)
        first, second = seen.fixed * seen.fixed_inside, seen.moving * seen.moving_inside
        total = float(first.sum() + second.sum())
        dice.append(2 * float(np.minimum(first, second).sum()) / total if total else 0.0)
    return float(np.mean(dice))


def similarity_of(options: Options, same: bool, course: Course) -> str:
    """The similarity that is optimised; a choice that does not suit the contrasts is told."""
    if options.sim == "auto":
        return choose(same)
    if options.sim in ("lncc", "mse") and not same:
        wrong = f"The two images do not show tissue in the same contrast, which --sim {options.sim} takes for granted"
        course.warnings.append(f"{wrong}: --sim mind, or auto, suits them.")
    return options.sim


def settings_of(options: Options, similarity: str) -> Settings:
    """The optimisation's settings."""
    return Settings(
        similarity=similarity,
        reg_weight=options.reg_weight,
        iterations=options.io_iterations,
        diffeomorphic=options.diffeo,
        label_weight=_AUTO_LABELS if options.auto_seg is not None else Settings.label_weight,
        seed=options.seed,
    )


def deform(
    pair: Pair,
    seen: Scene,
    affine: Affine,
    options: Options,
    settings: Settings,
    guides: Guides,
    model: "RegistrationModel | None",
    device: torch.device,
    course: Course,
) -> Deformed:
    """The field that is left to find when the affine is done."""
    both = sides(seen, pair, Transform((affine,)), guides, device)
    start = None
    if "net" in options.stages:
        assert model is not None, "options require a model for it"
        course.warnings += model_warnings(pair, model)
        with course.stage("network"):
            start, both = _from_network(pair, both, seen.grid, affine, model, device)
    if "search" in options.stages:
        with course.stage("search"):
            start = search(both, settings)
    if "io" in options.stages:
        with course.stage("optimise"):
            found = optimise(both, settings, start, _telling(course.watcher))
    else:
        assert start is not None, "a deformation has at least one stage"
        found = _as_it_is(start)
    course.warnings += found.warnings
    forward, back = (_as_field(part, seen.grid) for part in (found.displacement, found.inverse))
    return Deformed(forward, back, found.losses)


def _telling(watcher: Watcher) -> Callable[[str, int, int, float], None]:
    def tell(level: str, done: int, total: int, loss: float) -> None:
        watcher.step(done, total)

    return tell


def _from_network(
    pair: Pair, both: Sides, grid: Grid, affine: Affine, model: "RegistrationModel", device: torch.device
) -> tuple[torch.Tensor, Sides]:
    """The network's displacement (1, 3, *) in voxels of the work grid, and the sides with its features."""
    own = model.grid_for(pair.fixed.image.grid)
    seen = scene(pair.fixed.scaled, pair.moving.scaled, Transform((affine,)), own)
    shown = (seen.fixed * seen.fixed_inside, seen.moving * seen.moving_inside)  # 0 outside, as in its training
    images = [torch.from_numpy(image)[None, None].to(device) for image in shown]
    model = model.to(device)
    field = _as_field(model.displacement(*images), own)
    features = [_features(model.features(image), own, grid, device) for image in images]
    start = _as_tensor(Transform((field,)).displacement_on(grid), device)
    return start, replace(both, fixed_features=features[0], moving_features=features[1])


def _features(found: torch.Tensor | None, own: Grid, grid: Grid, device: torch.device) -> torch.Tensor | None:
    """Features of the network's grid on the work grid."""
    if found is None:
        return None
    channels = [onto(Volume(channel.float().cpu().numpy(), own), grid) for channel in found[0]]
    return torch.from_numpy(np.stack(channels))[None].to(device)


def model_warnings(pair: Pair, model: "RegistrationModel") -> list[str]:
    """Sentences for images that are not of the kind a network was trained on."""
    kinds = zip(("fixed", "moving"), (pair.fixed, pair.moving), model.use.modalities, strict=True)
    return [
        f"The {name} image is {side.scheme.modality.upper()}, and the model was trained on {kind.upper()} there."
        for name, side, kind in kinds
        if kind not in ("auto", side.scheme.modality)
    ]


def _as_it_is(start: torch.Tensor) -> Deformation:
    """A first field that is not optimised further, with its inverse."""
    return Deformation(start, fields.invert(start))


def _as_field(displacement: torch.Tensor, grid: Grid) -> Field:
    array = displacement[0].permute(1, 2, 3, 0).float().cpu().numpy()
    return Field(np.ascontiguousarray(array), grid)


def _as_tensor(field: Field, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(field.displacement.transpose(3, 0, 1, 2).copy())[None].to(device)
