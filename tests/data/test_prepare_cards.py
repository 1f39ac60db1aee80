"""Every card against a small download made from its own layout."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.data.cards import Card, cards
from medmamba.data.labelmaps import to_raw
from medmamba.data.prepare.run import Prepared, prepare

from .synthetic import Truth, build

PREPARABLE = [pytest.param(card, id=name) for name, card in cards().items() if card.layout]


@pytest.fixture(params=PREPARABLE, scope="module")
def made(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Card, Path, dict[str, Truth], Prepared]:
    """A card, its download, what must come out, and what came out."""
    card, base = request.param, tmp_path_factory.mktemp("card")
    truths = build(card, base / "download")
    return card, base / "download", truths, prepare(card, base / "download", base / "raw")


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def part(truth: Truth) -> str:
    return "Tr" if truth.layout.trained_on else "Ts"


def channel_files(truth: Truth, card: Card, folder: Path) -> list[Path]:
    names = (f"{truth.name}_{place:04d}{card.file_ending}" for place in range(len(truth.channels)))
    return [folder / f"images{part(truth)}" / name for name in names]


def test_nothing_is_missing_extra_or_foreign(made: Any) -> None:
    _, _, truths, done = made
    assert (done.incomplete, done.unlabelled, done.extra, done.foreign) == ({}, [], [], [])
    assert sum(there for _, there in done.counts.values()) == len(truths)


def test_file_names(made: Any) -> None:
    card, _, truths, done = made
    wanted = {path for truth in truths.values() for path in channel_files(truth, card, done.folder)}
    wanted |= {
        done.folder / f"labels{part(truth)}" / f"{name}{card.file_ending}"
        for name, truth in truths.items()
        if truth.layout.label
    }
    assert {path for folder in done.folder.iterdir() if folder.is_dir() for path in folder.iterdir()} == wanted


def test_channels_in_their_order(made: Any) -> None:
    card, _, truths, done = made
    for truth in truths.values():
        for channel, path in zip(truth.channels, channel_files(truth, card, done.folder), strict=True):
            if truth.layout.intensity == "keep":
                assert np.array_equal(read(path), channel)
            else:
                assert read(path).dtype == np.uint8 and read(path).shape == channel.shape


def test_labels_and_geometry(made: Any) -> None:
    card, _, truths, done = made
    for truth in (truth for truth in truths.values() if truth.layout.label):
        path = done.folder / f"labels{part(truth)}" / f"{truth.name}{card.file_ending}"
        label = read(path)
        if truth.layout.label_kind == "instances":
            assert np.array_equal(label == 1, truth.label) and set(np.unique(label)) == {0, 1, 2}
        else:
            assert np.array_equal(label, truth.label)
        assert set(np.unique(label)) <= set(card.labels.values())
        image = sitk.ReadImage(str(channel_files(truth, card, done.folder)[0]))
        mask = sitk.ReadImage(str(path))
        for field in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(mask, field)() == getattr(image, field)()
        if truth.layout.kind in ("volume", "time"):
            assert mask.GetSpacing() == (0.75, 1.25, 3.0) and mask.GetDirection()[1] == -1


def test_dataset_json(made: Any) -> None:
    card, _, truths, done = made
    content = json.loads((done.folder / "dataset.json").read_text())
    assert content["numTraining"] == done.training == sum(truth.layout.trained_on for truth in truths.values())
    assert list(content["channel_names"].values()) == list(card.channels)
    assert list(content["labels"]) == ["background", *card.targets]
    assert content["file_ending"] == card.file_ending and content["licence"] and content["reference"]
    assert content.get("overwrite_image_reader_writer") == card.reader
    assert content.get("regions_class_order", []) == list(card.regions_class_order)


def test_nnunet_takes_reader_and_regions(made: Any) -> None:
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    card, _, truths, done = made
    content = json.loads((done.folder / "dataset.json").read_text())
    first = channel_files(next(iter(truths.values())), card, done.folder)[0]
    reader = determine_reader_writer_from_dataset_json(content, str(first), verbose=False)
    assert reader.__name__ == (card.reader or reader.__name__)
    manager = LabelManager(content["labels"], content.get("regions_class_order"))
    labels = np.arange(len(card.labels))
    if card.regions:
        import torch

        regions = [np.isin(labels, members) for members in card.regions.values()]
        logits = torch.tensor(np.stack(regions)[:, None, None] * 20.0 - 10)
        assert np.array_equal(np.asarray(manager.convert_logits_to_segmentation(logits)).ravel(), labels)
    else:
        assert list(manager.all_labels) == labels.tolist()


def test_predictions_go_back_to_the_raw_values(made: Any) -> None:
    card, _, _, done = made
    labels = np.arange(len(card.labels)).repeat(2).reshape(2, -1).astype(np.uint8)
    if any(layout.label_kind == "instances" for layout in card.layout):
        assert to_raw(np.array([[1, 1, 2, 2, 1]]), done.folder).tolist() == [[1, 1, 0, 0, 2]]
        return
    raw = to_raw(labels, done.folder)
    first = {name: value[0] if isinstance(value, tuple) else value for name, value in card.raw_labels.items()}
    wanted = [first.get(name, 0) if card.raw_labels else value for name, value in card.labels.items()]
    assert raw.ravel()[::2].tolist() == wanted


def state(folder: Path) -> dict[str, tuple[int, int]]:
    found = (path for path in folder.rglob("*"))
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


def test_a_second_run_touches_nothing(made: Any) -> None:
    card, source, _, done = made
    before = state(done.folder), state(source)
    again = prepare(card, source, done.folder.parent)
    assert (state(done.folder), state(source)) == before
    assert again.kept and (again.linked, again.copied, again.converted) == (0, 0, 0)
    assert (again.counts, again.training, again.foreign) == (done.counts, done.training, [])


def test_a_case_without_a_channel_is_named_and_left_out(made: Any, tmp_path: Path) -> None:
    card, _, _, _ = made
    truths = build(card, tmp_path / "download", seed=1)
    broken = next(truth for truth in truths.values() if truth.layout.split == "training")
    lost = broken.files[len(broken.channels) - 1 if broken.layout.kind == "volume" else 0]
    lost.unlink()
    done = prepare(card, tmp_path / "download", tmp_path / "raw")
    assert list(done.incomplete) == [broken.name]
    told = done.incomplete[broken.name][0]
    assert ("has no frame" if broken.layout.kind == "clip" else lost.name.split(".")[0]) in told
    assert done.training == sum(truth.layout.trained_on for truth in truths.values()) - 1
    assert json.loads((done.folder / "dataset.json").read_text())["numTraining"] == done.training
    assert not list(done.folder.glob(f"*/{broken.name}*")) and os.listdir(done.folder / "imagesTr")
