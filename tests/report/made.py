"""Small evaluations with images, for tests of the report."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from medmamba.evaluate.folder import evaluate_folder
from medmamba.evaluate.targets import rules_of
from medmamba.report import write_report

LABELS = {"background": 0, "ball": 1, "core": 2}
SPACING = (1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Made:
    """Where it all lies."""

    folder: Path

    def report(self, **more: Any) -> Path:
        """The report with everything, but for what is given otherwise."""
        given: dict[str, Any] = {
            "metrics": self.folder / "scores",
            "images": self.folder / "images",
            "predictions": self.folder / "pred",
            "references": self.folder / "ref",
        }
        return write_report(self.folder / "report.html", **(given | more))


def save(path: Path, voxels: np.ndarray, spacing: Sequence[float] = SPACING) -> Path:
    """(z, y, x) as an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing[: voxels.ndim])
    sitk.WriteImage(image, str(path))
    return path


def ball(size: Sequence[int], centre: Sequence[float], radius: float) -> np.ndarray:
    """True within `radius` voxels of `centre`; (z, y, x)."""
    apart = [np.arange(length) - place for length, place in zip(size, centre, strict=True)]
    squares = np.meshgrid(*(one**2 for one in apart), indexing="ij")
    return sum(squares) <= radius**2


def labels(size: Sequence[int], shift: float = 0.0) -> np.ndarray:
    """A ball with a core, off the middle by `shift` voxels along x."""
    centre = [length / 2 - 1 for length in size]
    centre[-1] += shift
    found = ball(size, centre, 6).astype(np.uint8)
    found[ball(size, centre, 3)] = 2
    return found


def make(folder: Path, names: Sequence[str] = ("a", "b", "c"), size: Sequence[int] = (16, 20, 24)) -> Made:
    """Cases whose prediction is off by 0, 1, 2, ... voxels, so that the last is the worst."""
    for number, name in enumerate(names):
        truth = labels(size)
        noise = np.random.default_rng(number).normal(0, 40, size)
        save(folder / "images" / f"{name}_0000.nii.gz", (truth * 200.0 + 300 + noise).astype(np.int16))
        save(folder / "ref" / f"{name}.nii.gz", truth)
        save(folder / "pred" / f"{name}.nii.gz", labels(size, number))
    score(folder)
    return Made(folder)


def score(folder: Path, dataset: dict[str, Any] | None = None) -> Path:
    """Write metrics.json of what lies in pred and ref."""
    rules = rules_of({"labels": LABELS} if dataset is None else dataset)
    evaluate_folder(folder / "pred", folder / "ref", rules, jobs=1).write(folder / "scores")
    return folder / "scores"


def scores_of_many(folder: Path, cases: int, targets: int) -> Path:
    """A metrics.json of many cases and labels without any image."""
    make(folder, ("seed_a", "seed_b"))
    file = folder / "scores" / "metrics.json"
    content = json.loads(file.read_text())
    one, case = content["targets"]["ball"], content["per_case"]["seed_a"]["ball"]
    names = [f"structure_{number:02d}" for number in range(targets)]
    content["targets"] = {name: one | {"values": [value]} for value, name in enumerate(names, 1)}
    random = np.random.default_rng(0)
    content["per_case"] = {
        f"case_{number:04d}": {name: case | {"dice": float(random.beta(9, 2))} for name in names}
        for number in range(cases)
    }
    file.write_text(json.dumps(content))
    return file


class Page(HTMLParser):
    """What a page is made of: elements with their attributes, and the text outside of scripts and styles."""

    VOID = ("meta", "link", "input", "br", "wbr", "img", "image", "path", "rect")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def data(self, identifier: str) -> Any:
        """The JSON in a script element."""
        found = re.search(rf'id="{identifier}">(.*?)</script>', self.source, re.DOTALL)
        assert found
        return json.loads(found[1])
