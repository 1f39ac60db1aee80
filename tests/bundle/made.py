"""Results folders of models that were never trained, and bundles that are made again after something was changed."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from medmamba.files import write_json
from medmamba.nnunet.recipe import make_network
from tests.nnunet import plans_by_hand


def results_folder(
    root: Path,
    configuration: str = "3d_fullres",
    folds: Sequence[int] = (0, 1),
    plans: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    trainer: str = "nnUNetTrainer",
    states: Sequence[Mapping[str, Any]] | None = None,
) -> Path:
    """Write TRAINER__PLANS__CONFIGURATION with a checkpoint of random weights, or of `states`, in each fold."""
    plans, dataset = plans or plans_by_hand.plans(), dataset or plans_by_hand.dataset()
    folder = root / f"{trainer}__{plans['plans_name']}__{configuration}"
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    write_json(folder / "dataset_fingerprint.json", {"spacings": [[1.0, 0.8, 0.7]], "odd": float("nan")})
    for place, fold in enumerate(folds):
        torch.manual_seed(fold)
        state = states[place] if states else make_network(plans, dataset, configuration, None).state_dict()
        content = {
            "network_weights": state,
            "trainer_name": trainer,
            "init_args": {"configuration": configuration, "fold": fold, "plans": deepcopy(plans)},
            "inference_allowed_mirroring_axes": (0, 1) if configuration == "2d" else (0, 1, 2),
            "current_epoch": 1,
        }
        (folder / f"fold_{fold}" / "validation").mkdir(parents=True)
        torch.save(content, folder / f"fold_{fold}" / "checkpoint_final.pth")
        scores = {"mean": {"1": {"Dice": 0.5}, "2": {"Dice": float("nan")}}, "foreground_mean": {"Dice": 0.5}}
        write_json(folder / f"fold_{fold}" / "validation" / "summary.json", scores)
    return folder


def seal(folder: Path) -> None:
    """Write the manifest of a changed bundle again, so that what is behind the digests is reached."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith("MANIFEST")]
    entries = {
        file.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
        }
        for file in files
    }
    write_json(folder / "MANIFEST.json", {"files": entries, "created": "2026-01-31T12:00:00Z"})


def change(folder: Path, name: str, edit: Any) -> None:
    """Edit the JSON object in a file of a bundle in place and seal the bundle again."""
    content = json.loads((folder / name).read_text())
    edit(content)
    (folder / name).write_text(json.dumps(content))
    seal(folder)


def tar(folder: Path, target: Path, *members: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.USTAR_FORMAT) -> Path:
    """A .tar of a bundle's files with further members behind them."""
    with tarfile.open(target, "w", format=kind) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.add(file, file.relative_to(folder).as_posix())
        for header, content in members:
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return target


def snapshot(folder: Path) -> dict[str, Any]:
    """Every entry below a folder: its kind and size, and its content where it is a file that is not huge."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and status.st_size < 1 << 25 else b""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_size, content)
    return found
