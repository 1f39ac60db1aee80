"""The stages of a registration: what each hands to the next. How well they register: `test_run.py`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medmamba.register.affine import AffineResult
from medmamba.register.deform.sides import Deformation, Settings, Sides
from medmamba.register.grid import Grid
from medmamba.register.images import Volume
from medmamba.register.intensity import scheme_of
from medmamba.register.network import Use
from medmamba.register.pair import stages
from medmamba.register.pair.checks import Pair, Side
from medmamba.register.pair.options import Options
from medmamba.register.pair.stages import (
    Course,
    Watcher,
    affine_stage,
    deform,
    model_warnings,
    settings_of,
    similarity_of,
)
from medmamba.register.pair.workspace import Guides, scene, work_grid
from medmamba.register.transforms.transform import Affine, Transform
from tests.register.made import noise

GRID = Grid((20, 24, 18), np.diag([1.0, 1.5, 2.0, 1.0]))
WORK = work_grid(GRID)
STILL = Affine(np.eye(4))
CPU = torch.device("cpu")


def shift(*mm: float) -> Affine:
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return Affine(matrix)


def volume(data: np.ndarray) -> Volume:
    return Volume(data.astype(np.float32), GRID, Path("image.nii.gz"))


def pair(change: Any = lambda image: image, modalities: tuple[str, str] = ("mri", "mri")) -> Pair:
    """Two images of one place, the moving one changed."""
    image = 1000 * noise(GRID.shape, 1.5)
    both = (image, change(image))
    fixed, moving = (
        Side(volume(data), replace(scheme_of(data, "mri"), modality=kind))  # type: ignore[arg-type]
        for data, kind in zip(both, modalities, strict=True)
    )
    return Pair(fixed, moving, None, (), False, ())


class Told(Watcher):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def step(self, done: int, total: int) -> None:
        self.steps.append((done, total))


def course() -> Course:
    return Course(Told())


def test_time_of_a_stage_adds_up() -> None:
    made = course()
    for name in ("read", "affine", "read"):
        with made.stage(name):
            sum(range(20_000))
    assert made.watcher.stages == ["read", "affine", "read"]  # type: ignore[attr-defined]
    assert set(made.seconds) == set(made.cpu_seconds) == {"read", "affine"}
    assert all(value > 0 for value in made.seconds.values())


@pytest.mark.parametrize(
    ("sim", "same", "wanted", "warned"),
    [
        ("auto", True, "lncc", False),
        ("auto", False, "mind", False),
        ("mse", True, "mse", False),
        ("lncc", False, "lncc", True),
        ("mse", False, "mse", True),
        ("nmi", False, "nmi", False),
    ],
)
def test_the_similarity(sim: Any, same: bool, wanted: str, warned: bool) -> None:
    made = course()
    assert similarity_of(Options(sim=sim), same, made) == wanted
    assert len(made.warnings) == warned and all(f"--sim {sim}" in warning for warning in made.warnings)


def test_settings_follow_the_options() -> None:
    found = settings_of(Options(io_iterations=7, reg_weight=0.3, diffeo=False, seed=5), "mind")
    assert found == Settings("mind", reg_weight=0.3, iterations=7, diffeomorphic=False, seed=5)
    assert settings_of(Options(auto_seg="m"), "lncc").label_weight > Settings.label_weight


class Aligned:
    """Stands for `align`; the answers come by how it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: Affine) -> None:
        self.answers, self.asked = answers, []  # type: ignore[var-annotated]
        monkeypatch.setattr(stages, "align", self)

    def __call__(self, fixed: Volume, moving: Volume, kind: str, init: Any, same_modality: bool, **how: Any) -> Any:
        of_labels = "fixed_mask" not in how
        name = "labels" if of_labels else "same" if same_modality else "any"
        self.asked.append(name)
        return AffineResult(self.answers.get(name, STILL), 0.0, 0.0, name)


def test_correlation_takes_over_where_the_contrast_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    aligned, made = Aligned(monkeypatch), course()
    found, same = affine_stage(pair(), Options(), Guides(), WORK, made)
    assert (found.start, same, aligned.asked) == ("same", True, ["any", "same"])
    assert made.notes["contrast"]["same"] and made.notes["contrast"]["share"] > 0.9


@pytest.mark.parametrize("change", [lambda image: 1000 - image, lambda image: 1000 * np.sin(np.pi * image / 1000) ** 2])
def test_mutual_information_stays_where_it_is_not(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aligned, made = Aligned(monkeypatch), course()
    found, same = affine_stage(pair(change), Options(), Guides(), WORK, made)
    assert (found.start, same, aligned.asked) == ("any", False, ["any"])
    assert not made.notes["contrast"]["same"]


def test_two_modalities_are_two_contrasts_however_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    aligned = Aligned(monkeypatch)
    _, same = affine_stage(pair(modalities=("ct", "mri")), Options(), Guides(), WORK, course())
    assert not same and aligned.asked == ["any"]


def test_the_contrast_is_seen_through_the_first_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images lie apart by four voxels; only where `align` says so do they show the same."""
    moved = pair(lambda image: np.roll(image, 4, 0))
    for first, wanted in ((shift(4, 0, 0), True), (STILL, False)):
        Aligned(monkeypatch, any=first)
        assert affine_stage(moved, Options(), Guides(), WORK, course())[1] == wanted


def test_without_an_affine_the_start_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    aligned = Aligned(monkeypatch)
    found, same = affine_stage(pair(), Options(affine="none"), Guides(), WORK, course())
    assert (found.start, same, aligned.asked) == ("any", True, ["any"])


@pytest.mark.parametrize(("of_labels", "wanted"), [(shift(3, 0, 0), "labels"), (shift(9, 0, 0), "same")])
def test_the_map_under_which_labels_overlap_most_is_kept(
    of_labels: Affine, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ball, moved = np.zeros(GRID.shape), np.zeros(GRID.shape)
    ball[6:11, 8:14, 6:11], moved[9:14, 8:14, 6:11] = 1, 1  # 3 mm further on
    aligned = Aligned(monkeypatch, labels=of_labels)
    guides = Guides([(volume(ball), volume(moved))])
    found, _ = affine_stage(pair(), Options(io_labels=True), guides, WORK, course())
    assert found.start == wanted and aligned.asked == ["any", "same", "labels"]


class Network:
    """Moves everything by one of its own voxels along the second axis; its features are the image."""

    use = Use((2.0, 3.0, 2.0), None, ("mri", "ct"))

    def __init__(self, features: bool = True) -> None:
        self.reads, self.shown = features, []  # type: ignore[var-annotated]

    def grid_for(self, fixed: Grid) -> Grid:
        return fixed.canonical().resampled((2.0, 3.0, 2.0))

    def to(self, device: torch.device) -> "Network":
        return self

    def displacement(self, fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        self.shown = [fixed, moving]
        return torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1, 1).expand(1, 3, *fixed.shape[2:])

    def features(self, image: torch.Tensor) -> torch.Tensor | None:
        return torch.cat([image, 1 - image], dim=1) if self.reads else None


def deformed(options: Options, model: Any = None, affine: Affine = STILL, made: Course | None = None) -> Any:
    two = pair()
    seen = scene(two.fixed.scaled, two.moving.scaled, Transform((affine,)), WORK)
    settings = replace(settings_of(options, "mse"), iterations=2)
    return deform(two, seen, affine, options, settings, Guides(), model, CPU, made or course())


def test_a_networks_voxels_become_those_of_the_work_grid() -> None:
    made = course()
    found = deformed(Options(model="m", deform="net"), Network(), made=made)
    assert found.losses == [] and set(made.seconds) == {"network"}
    assert found.forward.grid is WORK and found.forward.displacement.shape == (*WORK.shape, 3)
    point = GRID.world([[9, 10, 8]])
    assert np.allclose(found.forward.points(point) - point, [[0, 3, 0]], atol=1e-3)  # 3 mm: two of 1.5
    assert np.allclose(found.back.points(found.forward.points(point)), point, atol=1e-3)
    assert "moving image is MRI" in made.warnings[0] and len(made.warnings) == 1


def test_a_network_sees_what_the_affine_brings_and_darkness_beyond() -> None:
    network = Network()
    deformed(Options(model="m", deform="net"), network, shift(8, 0, 0))
    fixed, moving = (image[0, 0].numpy() for image in network.shown)
    assert not moving[-4:].any() and fixed[-4:].any()
    assert np.allclose(moving[1:5, 2:-2, 2:-2], fixed[5:9, 2:-2, 2:-2], atol=1e-5)  # 8 mm are four of its voxels


@pytest.mark.parametrize("reads", [True, False])
def test_the_optimisation_goes_on_from_the_network(reads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def optimise(sides: Sides, settings: Settings, start: torch.Tensor, progress: Any) -> Deformation:
        given.extend((sides, settings, start))
        progress("level 1 of 3", 2, 9, 0.5)
        return Deformation(start, -start, losses=[[1.0, 0.5]], warnings=("Odd.",))

    monkeypatch.setattr(stages, "optimise", optimise)
    made = course()
    found = deformed(Options(model="m"), Network(reads), made=made)
    sides, settings, start = given
    assert set(made.seconds) == {"network", "optimise"} and found.losses == [[1.0, 0.5]] and "Odd." in made.warnings
    assert settings.similarity == "mse" and start.shape == (1, 3, *WORK.shape)
    inner = start[0, :, 10:-10, 12:-12, 10:-10].mean((1, 2, 3))
    assert inner.tolist() == pytest.approx([0, 2, 0], abs=1e-3)
    assert made.watcher.steps == [(2, 9)]  # type: ignore[attr-defined]
    if reads:
        assert sides.fixed_features.shape == sides.moving_features.shape == (1, 2, *WORK.shape)
    else:
        assert sides.fixed_features is None and sides.moving_features is None


def test_search_alone_and_before_the_optimisation(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[Any] = []
    half = torch.full((1, 3, *WORK.shape), 0.5)
    monkeypatch.setattr(stages, "search", lambda sides, settings: half)
    monkeypatch.setattr(
        stages, "optimise", lambda sides, settings, start, progress: starts.append(start) or Deformation(half, -half)
    )
    alone = deformed(Options(deform="search"))
    assert not starts and np.allclose(alone.forward.displacement, 0.5)
    assert np.allclose(alone.back.displacement, -0.5, atol=1e-3)
    deformed(Options(deform="search+io"))
    deformed(Options(deform="io"))
    assert starts[0] is half and starts[1] is None


def test_a_network_is_told_of_that_was_trained_on_another_modality() -> None:
    assert len(model_warnings(pair(modalities=("ct", "mri")), Network())) == 2  # type: ignore[arg-type]
    assert model_warnings(pair(modalities=("mri", "ct")), Network()) == []  # type: ignore[arg-type]
    network = Network()
    network.use = Use()
    assert model_warnings(pair(modalities=("ct", "mri")), network) == []  # type: ignore[arg-type]
