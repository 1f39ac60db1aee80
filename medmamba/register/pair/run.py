"""One pair from its files to a folder with the result."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import runtime
from ...predict.peak import PeakMemory
from . import outputs, report
from .checks import read_pair
from .identity import identity_of
from .models import Models
from .options import Inputs, Options
from .picture import draw
from .stages import Course, Watcher
from .work import PairWork, title_of


@dataclass(frozen=True)
class Outcome:
    """What a registration leaves behind."""

    folder: Path
    exit_code: int
    """0, or 3 when the result was worse than what it began with and was dropped."""
    warnings: tuple[str, ...]
    report: dict[str, Any]
    """The content of report.json."""


def register(
    fixed: str | Path,
    moving: str | Path,
    out: str | Path,
    options: Options | None = None,
    inputs: Inputs | None = None,
    *,
    models: Models | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Find the transform that brings a moving image onto a fixed one, and write it with all that belongs to it.

    Parameters
    ----------
    fixed, moving: images (NIfTI, MHA, NRRD) or folders of a DICOM series, on any two grids.
    out: folder for the result, see `outputs`. It appears whole at the end; an older result in it is replaced.
    options: how; the defaults need no training. inputs: segmentations, masks, points, a start.
    models: read before, for many pairs; None: read here, where the options name some.

    The transform maps fixed points to moving points, so that it resamples the moving image. A result that is worse
    than what it began with is dropped for that, and `exit_code` is 3. Raises ConfigError and DataError for a pair that
    cannot be registered; nothing is left then.

    >>> register("fixed.nii.gz", "moving.nii.gz", "result").report["outcome"]["sentence"]  # doctest: +SKIP
    """
    options, inputs = options or Options(), inputs or Inputs()
    device = runtime.device(options.device)
    course = Course(watcher or Watcher())
    with PeakMemory() as peak, outputs.publishing(Path(out)) as folder:
        started, used = time.perf_counter(), time.process_time()
        with course.stage("read"):
            pair = read_pair(Path(fixed).expanduser(), Path(moving).expanduser(), inputs, options)
        course.warnings += pair.warnings
        models = models or Models.load(options)
        found = PairWork(pair, options, models, device, course).run()
        with course.stage("write"):
            outputs.write_result(folder, pair, found.result, options)
        identity = identity_of(Path(fixed), Path(moving), inputs, options, models.digests)
        content = report.report_of(pair, identity, found.scores, found.verdict, found.more)
        with course.stage("picture"):
            draw(found.view, title_of(pair, found), folder / outputs.PICTURE)
        content["warnings"] = list(dict.fromkeys(course.warnings))
        content["seconds"] = {name: round(value, 3) for name, value in course.seconds.items()}
        content["seconds"]["all"] = round(time.perf_counter() - started, 3)
        content["cpu_seconds"] = {name: round(value, 3) for name, value in course.cpu_seconds.items()}
        content["cpu_seconds"]["all"] = round(time.process_time() - used, 3)
        content["device"], content["peak_memory"] = str(device), peak.bytes
        report.write_report(folder / outputs.REPORT, content)
    return Outcome(Path(out), found.verdict.exit_code, tuple(content["warnings"]), content)
