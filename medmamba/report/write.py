"""The report of an evaluation, a batch of predictions, or both with their model, as one HTML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ConfigError
from ..evaluate.report import JSON
from ..files import replacing, writable
from ..predict.batch.report import software
from .cases import load
from .find import Folders, look
from .labels import Labels, labels_of
from .model import Model, read_model
from .names import Names
from .page import render
from .pictures import Pictures, draw
from .scores import MEASURE_NAMES, Scores, read_scores
from .summary import summary
from .table import table
from .viewing import Viewed, limit_of, viewed

PICTURED = 20
"""Cases with pictures at most."""


@dataclass(frozen=True)
class Shown:
    """A case with pictures, or with a sentence in their place."""

    case: str
    name: str
    rank: str
    pictures: Pictures | None
    problem: str
    viewed: Viewed | None


def write_report(
    output: Path,
    *,
    metrics: Path | None,
    images: Path | None = None,
    predictions: Path | None = None,
    references: Path | None = None,
    model: Path | None = None,
    title: str | None = None,
    case_names: Mapping[str, str] | None = None,
    viewer_cases: int = 6,
) -> Path:
    """Write one self-contained HTML file and return its path.

    Parameters
    ----------
    output: the file; it appears whole or not at all.
    metrics: metrics.json of `medmamba evaluate`, or its folder; None for predictions without a reference.
    images, predictions, references: folders. Images are named as `medmamba predict` takes them (CASE_0000.nii.gz, ...,
        CASE.nii.gz, or a folder CASE of a DICOM series), label maps CASE.nii.gz or another ending.
    model: bundle or results folder whose plan, digest, versions and training are told.
    case_names: real case name -> what the page shows. With it, nothing in the page has a real name or a path, and
        texts that may have one are left out.
    viewer_cases: so many of the worst cases can be opened in the viewer; 0: no viewer.

    What is missing or damaged of a case becomes a sentence in its place. Raises ConfigError where there is nothing to
    report, DataError for a damaged metrics.json or a missing folder, SetupError where the file cannot be written, and
    what `predict.loading.load` does for a model.
    """
    if metrics is None and predictions is None:
        raise ConfigError("There is nothing to report.", "Give the metrics.json of medmamba evaluate, or predictions.")
    names, folders = Names(case_names), look(images, predictions, references)
    scores = Scores(tuple(sorted(folders.predictions or ()))) if metrics is None else read_scores(metrics)
    if not scores.cases and not scores.failures:
        where = predictions if metrics is None else metrics
        raise ConfigError(f"{where} names no case.", "Give a folder of label maps, or an evaluation with cases.")
    known = None if model is None else read_model(model)
    labels = labels_of(scores, known)
    chosen = _chosen(scores, folders)
    limit = limit_of(min(viewer_cases, len(chosen)))
    cases = [_show(case, rank, folders, names, scores, known, labels, limit if place < viewer_cases else 0)
             for place, (case, rank) in enumerate(chosen)]  # fmt: skip
    context = _context(scores, names, known, labels, cases, folders) | {"limit": f"{limit:,}"}
    context |= {"title": title or _title(known), "metrics_name": JSON}
    text = render(context, viewer=any(one.viewed for one in cases))
    with writable(output), replacing(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return output


def _title(model: Model | None) -> str:
    dataset = dict(model.plan).get("Dataset", "") if model else ""
    return f"Segmentation report: {dataset}" if dataset else "Segmentation report"


def _chosen(scores: Scores, folders: Folders) -> list[tuple[str, str]]:
    """What gets pictures: cases that were scored, else those that failed; none without any folder."""
    if folders == Folders():
        return []
    failed = [(case, "not scored") for case in scores.failures]
    found = scores.chosen(PICTURED)
    return found + failed[: PICTURED - len(found)]


def _show(
    case: str,
    rank: str,
    folders: Folders,
    names: Names,
    scores: Scores,
    model: Model | None,
    labels: Labels,
    limit: int,
) -> Shown:
    scored = tuple(labels.names) if scores.run is not None else ()
    loaded = load(folders.of(case), names, scored)
    if isinstance(loaded, str):
        return Shown(case, names.shown(case), rank, None, loaded, None)
    pictures = draw(loaded, model.channels if model else ())
    seen = viewed(loaded, pictures, labels.values, limit) if limit else None
    return Shown(case, names.shown(case), rank, pictures, "", seen)


def _context(
    scores: Scores, names: Names, model: Model | None, labels: Labels, cases: list[Shown], folders: Folders
) -> dict[str, Any]:
    anchors = {one.case: f"case-{place}" for place, one in enumerate(cases) if one.pictures}
    values = {value for one in cases if one.pictures for value in one.pictures.values} | set(labels.names)
    in_viewer = [one for one in cases if one.viewed]
    return {
        "version": __version__,
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "summary": summary(scores, names),
        "scores": scores,
        "names": names,
        "table": table(scores, names, anchors),
        "model": model,
        "labels": labels,
        "legend": labels.shown(values),
        "cases": [(anchors.get(one.case, f"case-{place}"), one) for place, one in enumerate(cases)],
        "in_viewer": in_viewer,
        "viewer": _viewer(in_viewer, labels),
        "common": _common(cases),
        "measure_names": MEASURE_NAMES,
        "left_out": len(scores.cases) + len(scores.failures) - len(cases),
        "no_images": folders.images is None,
        "software": list(software().items()),
    }


def _common(cases: list[Shown]) -> tuple[str, ...]:
    """Sentences that go for every picture, which are said once."""
    pictured = [one.pictures.sentences for one in cases if one.pictures]
    if len(pictured) < 2:
        return ()
    return tuple(text for text in pictured[0] if all(text in sentences for sentences in pictured))


def _viewer(cases: list[Shown], labels: Labels) -> dict[str, Any]:
    """What the viewer's script knows besides the volumes: cases and labels."""
    found = {value for one in cases if one.pictures for value in one.pictures.values}
    shown = [one for one in labels.shown(labels.names or found) if one.number < 256]
    return {
        "labels": [{"number": one.number, "name": one.name, "rgb": one.rgb} for one in shown],
        "cases": [
            {"centre": one.viewed.centre, "flat": one.viewed.flat, "text": one.viewed.text,
             "prediction": one.viewed.prediction is not None, "reference": one.viewed.reference is not None}
            for one in cases if one.viewed
        ],
    }  # fmt: skip
