"""In place of `medmamba.report` where a test is of what it is given: a page that says all of it."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CALLS: list[dict[str, Any]] = []


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
    """Names and sizes of all files, and the scores."""
    told: dict[str, Any] = {"title": title, "names": dict(case_names or {}), "cases": viewer_cases}
    told["metrics"] = None if metrics is None else json.loads(metrics.read_text())
    for name, folder in (("images", images), ("predictions", predictions), ("references", references)):
        paths = [] if folder is None else sorted(folder.iterdir())
        told[name] = {path.name: path.stat().st_size for path in paths}
    told["model"] = model is not None and model.exists()
    CALLS.append(told)
    output.write_text(f"<html>{html.escape(json.dumps(told))}</html>")
    return output
