"""Inputs of every platform, and calls of the container in this process."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from medmamba.site.call import call

SHAPE = (10, 12, 14)
BRATS = ("t1n", "t1c", "t2w", "t2f")


def image(path: Path, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Path:
    """A small volume of noise with odd geometry."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))
    made.SetSpacing((0.7, 0.8, 1.0))
    made.SetOrigin((3.0, -4.0, 5.0))
    sitk.WriteImage(made, str(path))
    return path


def label_map(path: Path, seed: int = 0, values: Sequence[int] = (0, 1, 2), shape: tuple[int, ...] = SHAPE) -> Path:
    """Labels on the grid of `image`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = sitk.GetImageFromArray(np.random.default_rng(seed).choice(np.array(values, np.uint8), shape))
    made.SetSpacing((0.7, 0.8, 1.0))
    made.SetOrigin((3.0, -4.0, 5.0))
    sitk.WriteImage(made, str(path))
    return path


def jobs(folder: Path, outputs: dict[str, str], slug: str = "segmentation") -> None:
    """Grand Challenge's list of jobs to be scored: name of the input -> pk of the job."""
    entries = []
    for name, pk in outputs.items():
        given = {"interface": {"slug": "ct", "relative_path": "images/ct"}, "image": {"name": name}}
        made = {"interface": {"slug": slug, "relative_path": f"images/{slug}"}, "image": {"name": "output.mha"}}
        age = {"interface": {"slug": "age", "relative_path": "age.json"}, "image": None, "value": 40}
        entries.append({"pk": pk, "inputs": [age, given], "outputs": [made], "status": "Succeeded"})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.json").write_text(json.dumps(entries))


def subjects(folder: Path, count: int = 3, separator: str = "-") -> list[str]:
    """BraTS."""
    names = [f"BraTS-GLI-0000{number}-000" for number in range(1, count + 1)]
    for seed, name in enumerate(names):
        for contrast in BRATS:
            image(folder / name / f"{name}{separator}{contrast}.nii.gz", seed)
    return names


def sockets(folder: Path, images: dict[str, str]) -> None:
    """Grand Challenge: slug -> name of its image."""
    entries = []
    for slug, name in images.items():
        image(folder / "images" / slug / f"{name}.mha")
        entries.append({"interface": {"slug": slug, "relative_path": f"images/{slug}", "super_kind": "Image"}})
    entries.append({"interface": {"slug": "age", "relative_path": "age.json", "super_kind": "Value"}, "value": 40})
    (folder / "inputs.json").write_text(json.dumps(entries))


def files(folder: Path) -> list[str]:
    """All that lies in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


class Ran:
    """One call: its exit code, its events and all that it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def events(self) -> list[dict[str, Any]]:
        """Lines of the log."""
        return [json.loads(line) for line in self.out.splitlines()]

    def fields(self, event: str) -> list[dict[str, Any]]:
        """Of the events of one kind."""
        return [one["fields"] for one in self.events if one["event"] == event]

    @property
    def faults(self) -> list[str]:
        """Of cases and of the run."""
        return [one["fields"]["fault"] for one in self.events if "fault" in one["fields"]]


class Container:
    """Calls the site in this process with a folder for the container's root."""

    def __init__(self, root: Path, capfd: Any) -> None:
        self.root, self._capfd = root, capfd
        root.mkdir(exist_ok=True)

    def __call__(self, *words: Any, cpu: Sequence[str] = ("--device=cpu", "--precision=fp32", "--fast")) -> Ran:
        self._capfd.readouterr()
        code = call([*map(str, words), "--root", str(self.root), *cpu])
        return Ran(code, *self._capfd.readouterr())
