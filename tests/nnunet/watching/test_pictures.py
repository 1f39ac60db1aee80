"""What is drawn, from every kind of target, and that nothing else changes."""

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from medmamba.nnunet.loop.reports import EpochReport
from medmamba.nnunet.training import train
from medmamba.nnunet.watching import pictures
from medmamba.nnunet.watching.pictures import FOLDER, Pictures, dice, find_patch, patches_of, predict, sheet
from tests.nnunet.fake_trainer import PLAIN, REGIONS, label_manager, trainer
from tests.nnunet.small_runs import PLAIN as PLAIN_SET
from tests.nnunet.small_runs import REGIONS as REGIONS_SET
from tests.nnunet.small_runs import options

SHAPE = (8, 12, 10)


def report(epoch: int, epochs: int = 100) -> EpochReport:
    return EpochReport(epoch, epochs, 0.0, 0.0, (), 0.0, 0.0, 1.0)


def labels() -> torch.Tensor:
    """(2, 1, ...): an empty patch, and one with a shell, a core and something ignored."""
    whole = torch.zeros(2, 1, *SHAPE)
    whole[1, 0, 2:6, 2:9, 2:8] = 1
    whole[1, 0, 4:6, 4:7, 4:6] = 2
    whole[1, 0, 7] = 3
    return whole


def regions() -> torch.Tensor:
    whole = labels()
    return torch.cat([(whole == 1) | (whole == 2), whole == 2, whole == 3], 1)


def batch(target: Any, channels: int = 1) -> dict[str, Any]:
    image = torch.randn(2, channels, *SHAPE, generator=torch.Generator().manual_seed(0))
    return {"data": image, "target": target, "keys": ["empty", "full"]}


def logits() -> torch.Tensor:
    """For both patches the truth of the second, as the network would say it."""
    truth = labels()[1:, 0].long() % 3
    return torch.nn.functional.one_hot(truth, 3).movedim(-1, 1).float().expand(2, -1, -1, -1, -1) * 4


def test_labels_and_the_ignored_ones() -> None:
    manager = label_manager({**PLAIN, "ignore": 3})
    empty, full = patches_of(batch([labels(), labels()[..., ::2]]), manager)
    assert (empty.foreground, full.foreground, full.case) == (0, int(((labels() > 0) & (labels() < 3)).sum()), "full")
    assert full.truth.shape == (2, *SHAPE) and full.data.shape == (1, 1, *SHAPE)
    assert not full.counted[7].any() and full.counted[:7].all()


def test_regions_overlap() -> None:
    full = patches_of(batch(regions()), label_manager(REGIONS))[1]
    assert full.truth.shape == (2, *SHAPE) and (full.truth[0] & full.truth[1]).sum() == full.truth[1].sum()
    assert not full.counted[7].any()


def test_the_cut_shows_all_classes() -> None:
    full = patches_of(batch(labels()), label_manager())[1]
    assert full.cut(0) in (4, 5)  # where the small core is, though the shell is as large elsewhere
    empty = patches_of(batch(labels()), label_manager())[0]
    assert empty.cut(0) == 4


def test_the_patch_with_foreground_is_taken(tmp_path: Path) -> None:
    assert find_patch(trainer(tmp_path, batch(labels()), logits())).case == "full"
    empty = trainer(tmp_path, batch(torch.zeros_like(labels())), logits())
    assert find_patch(empty).foreground == 0


def test_dice() -> None:
    a, b, everywhere = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool), np.ones(4, bool)
    assert dice(a, b, everywhere) == 0.5
    assert dice(a, b & ~a, np.array([0, 1, 0, 0], bool)) == 0.0
    assert dice(a & ~a, b & ~b, everywhere) is None


@pytest.mark.parametrize(
    ("target", "known", "output"),
    [
        (labels(), {**PLAIN, "ignore": 3}, logits()),
        ([regions()], REGIONS, torch.cat([1 - logits()[:, :1], logits()[:, 2:] - 1], 1)),
    ],
)
def test_a_perfect_network_scores_one(tmp_path: Path, target: Any, known: dict, output: torch.Tensor) -> None:
    given = trainer(tmp_path, batch(target), output, known)
    patch = find_patch(given)
    with pictures.undisturbed(given):
        found = predict(given, patch)
    assert sheet(given, patch, found, "epoch 1").dice == [1.0, 1.0]


def test_pictures_of_the_first_the_kth_and_the_last_epoch(tmp_path: Path) -> None:
    given, watcher = trainer(tmp_path, batch(labels()), logits()), Pictures(4)
    for epoch in range(1, 11):
        watcher.epoch(given, report(epoch, 10))
    names = sorted(file.name for file in (Path(given.output_folder) / FOLDER).iterdir())
    assert names == [f"epoch_{epoch:04d}.png" for epoch in (1, 4, 8, 10)]


def test_the_truth_is_drawn_in_colour(tmp_path: Path) -> None:
    given = trainer(tmp_path, batch(labels()), logits())
    Pictures(1).epoch(given, report(1))
    pixels = imread(Path(given.output_folder) / FOLDER / "epoch_0001.png")[..., :3]
    for shade in ("#ff3b4e", "#35d0f2"):
        wanted = np.array([int(shade[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert (np.abs(pixels - wanted).max(-1) < 0.02).sum() > 100


def test_nothing_else_changes(tmp_path: Path) -> None:
    given = trainer(tmp_path, batch(labels()), logits())
    modes = [part.training for part in given.network.modules()]

    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    def state() -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    state()
    wanted = draws()
    state()
    Pictures(1).epoch(given, report(1))
    assert draws() == wanted
    assert [part.training for part in given.network.modules()] == modes == [True, False, True]


def test_a_failure_costs_one_message(tmp_path: Path) -> None:
    told: list[str] = []
    given = trainer(tmp_path, batch(labels()), logits()[:, :, :5])  # another shape than the truth
    watcher = Pictures(1, told.append)
    for epoch in (1, 2):
        watcher.epoch(given, report(epoch))
    assert len(told) == 1 and told[0].startswith("No more pictures of validation patches: ValueError")
    assert given.network.training


def test_the_channel_in_which_the_truth_stands_out(tmp_path: Path) -> None:
    content = batch(labels(), channels=3)
    content["data"][:, 1] += 5 * (labels()[:, 0] > 0)
    given = trainer(tmp_path, content, logits())
    given.dataset_json["channel_names"] = {"0": "T1", "1": "FLAIR"}  # the third is a cascade's
    patch = find_patch(given)
    assert sheet(given, patch, patch.truth, "").channel == "FLAIR"
    given.dataset_json["channel_names"] = {str(channel): "rgb_to_0_1" for channel in range(3)}
    given.configuration_manager.spacing[0] = 999.0
    drawn = sheet(given, patch, patch.truth, "")
    assert drawn.image.shape[-1] == 3 and "frame 5 of 8" in drawn.title


def test_slices_of_the_body_are_turned_and_thick_ones_cut(tmp_path: Path) -> None:
    given = trainer(tmp_path, batch(labels()), logits())
    given.configuration_manager.spacing = [1.0, 1.0, 4.0]
    (tmp_path / "data").mkdir()
    noted = {"sitk_stuff": {"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}, "spacing": [4.0, 1.0, 1.0]}
    (tmp_path / "data" / "full.pkl").write_bytes(pickle.dumps(noted))
    given.plans_manager.transpose_forward = [1, 2, 0]
    patch = find_patch(given)
    drawn = sheet(given, patch, patch.truth, "")
    assert drawn.view.plane == "axial" and drawn.view.sides == ("R", "L", "A", "P")
    assert drawn.truth.sum() == patch.truth[..., patch.cut(2)].sum()


def test_edges_without_anything_are_left_out(tmp_path: Path) -> None:
    content = batch(labels())
    content["data"][..., :2], content["data"][..., -1:] = 0, 0
    content["data"][..., :3, :] = 0
    given = trainer(tmp_path, content, logits())
    patch = find_patch(given)
    assert sheet(given, patch, patch.truth, "").image.shape == (10, 7)  # the shell reaches into the third row


def test_where_there_is_no_image_it_is_black(tmp_path: Path) -> None:
    content = batch(labels())
    content["data"][:, :, :, 5, 5] = 0  # among values of both signs, as after nnU-Net's normalisation
    given = trainer(tmp_path, content, logits())
    patch = find_patch(given)
    drawn = sheet(given, patch, patch.truth, "")
    assert np.argwhere(np.isnan(drawn.image)).tolist() == [[5, 5]]


def test_flat_patches(tmp_path: Path) -> None:
    content = {**batch(labels()), "data": batch(labels())["data"][:, :, 4], "target": labels()[:, :, 4]}
    given = trainer(tmp_path, content, logits()[:, :, 4])
    Pictures(1, pytest.fail).epoch(given, report(1))
    assert (Path(given.output_folder) / FOLDER / "epoch_0001.png").is_file()


@pytest.mark.parametrize("number", [PLAIN_SET, REGIONS_SET])
def test_training_goes_on_as_if_nothing_had_been_drawn(workplace: Path, number: int) -> None:
    told: list[str] = []
    weights = []
    for watchers in ([], [Pictures(1, told.append)]):
        fold = train(number, options(fold=4, iterations=1), watchers)
        weights.append(torch.load(fold / "checkpoint_final.pth", weights_only=False)["network_weights"])
    assert told == []
    assert len(list((fold / FOLDER).glob("*.png"))) == 2
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
