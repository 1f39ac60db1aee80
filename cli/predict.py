"""medmamba predict: segment images with a trained network."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medmamba.errors import ConfigError

from . import options

if TYPE_CHECKING:
    from medmamba.predict.batch.making import Making
    from medmamba.predict.batch.run import Outcome

_MODEL, _HOW, _LIMITS, _WRITTEN, _BATCH = "Model", "Quality and time", "Machine", "What is written", "Large batches"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba predict --model Hippocampus:umamba-bot --input imagesTs --output predictions",
            "medmamba predict --model FOLDER --input CASE_0000.nii.gz --output predictions --fast",
            "medmamba predict --model liver.tar --input dicom/ --output out --max-ram 6G --roi liver,tumor",
            "medmamba predict --model liver.tar --input dicom/ --output out --output-format dicom-seg",
            "medmamba predict --model liver.tar --input ct/ --output out --num-parts 8 --part-id 3 --resume",
        )
    )(predict)


def predict(
    model: Annotated[
        str,
        typer.Option(
            help="Bundle (folder or .tar), results folder of nnU-Net's or ours, or DATASET:NET[:PRESET[:CONFIG]].",
            show_default=False,
        ),
    ],
    input: Annotated[
        list[str],
        typer.Option(
            metavar="PATH",
            help="Image, folder of images or DICOM series, or list (.txt, .csv, .json); may be given again.",
            show_default=False,
        ),
    ],
    output: Annotated[str, typer.Option(metavar="PATH", help="Folder for the segmentations.", show_default=False)],
    folds: Annotated[
        str | None,
        typer.Option("--folds", "--fold", help="Average these: 0-4, 0,2,4, all. Default: all.", rich_help_panel=_MODEL),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(help="File of each fold in a results folder.", rich_help_panel=_MODEL)
    ] = "checkpoint_final.pth",
    expect: Annotated[
        str | None, typer.Option(help="Refuse a model with another digest: sha256:...", rich_help_panel=_MODEL)
    ] = None,
    step_size: Annotated[
        float, typer.Option(min=0.05, max=1, help="Step between patches, in patches.", rich_help_panel=_HOW)
    ] = 0.5,
    mirror: Annotated[
        bool, typer.Option(help="Average over mirrored images: up to 8 times the work.", rich_help_panel=_HOW)
    ] = True,
    fast: Annotated[
        bool, typer.Option("--fast", help="One fold, no mirroring, step 0.75.", rich_help_panel=_HOW)
    ] = False,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], typer.Option(help="fp16: GPUs only.", rich_help_panel=_HOW)
    ] = "auto",
    data_root: options.DataRoot = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_LIMITS)] = "auto",
    engine: Annotated[
        bool, typer.Option(help="On a CPU: the network in its fast form.", rich_help_panel=_LIMITS)
    ] = True,
    max_ram: Annotated[
        str | None,
        typer.Option(help="Memory of this process, as 6G: kept, or refused.", rich_help_panel=_LIMITS),
    ] = None,
    max_vram: Annotated[str | None, typer.Option(help="The same on the GPU.", rich_help_panel=_LIMITS)] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Cases prepared ahead (1); with --ray: workers on CPUs (one a machine).",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Also what ensembles need (.npz).", rich_help_panel=_WRITTEN)
    ] = False,
    roi: Annotated[str | None, typer.Option(help="Only these labels: liver,spleen.", rich_help_panel=_WRITTEN)] = None,
    raw_labels: Annotated[
        bool, typer.Option("--raw-labels", help="The dataset's own label values.", rich_help_panel=_WRITTEN)
    ] = False,
    output_format: Annotated[
        Literal["auto", "dicom-seg"],
        typer.Option(help="auto: as the image. dicom-seg: for DICOM series.", rich_help_panel=_WRITTEN),
    ] = "auto",
    uid_seed: Annotated[
        int | None,
        typer.Option(help="dicom-seg: UIDs and dates that follow from the inputs.", rich_help_panel=_WRITTEN),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON.", rich_help_panel=_WRITTEN)
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Keep what is complete.", rich_help_panel=_BATCH)] = False,
    num_parts: Annotated[
        int, typer.Option(min=1, help="Parts that the cases are dealt to.", rich_help_panel=_BATCH)
    ] = 1,
    part_id: Annotated[int, typer.Option(min=0, help="Which part this is, from 0 on.", rich_help_panel=_BATCH)] = 0,
    ray: Annotated[
        str | None, typer.Option(help="auto or ADDRESS: a worker a GPU, or --jobs on CPUs.", rich_help_panel=_BATCH)
    ] = None,
) -> None:
    """Segment images with a network that was trained here or by stock nnU-Net commands, or with a bundle.

    predict_report.json in the output folder tells what became of each case. A DICOM segmentation (--output-format
    dicom-seg) carries name, identifier and study of the patient as its images do, and is to be kept as these are.
    """
    from medmamba.data.folders import folders

    places = folders(data_root)
    places.export()
    from medmamba.nnunet.folds.parse import parse_folds
    from medmamba.predict.batch.making import Making

    making = Making(
        model,
        None if folds is None else parse_folds(folds),
        checkpoint,
        expect,
        places,
        {
            "step_size": step_size,
            "mirror": mirror,
            "device": device,
            "precision": precision,
            "engine": engine,
            "max_ram": max_ram,
            "max_vram": max_vram,
            "fast": fast,
            "uid_seed": uid_seed,
        },
    )
    given: dict[str, Any] = {
        "resume": resume,
        "save_probabilities": save_probabilities,
        "num_parts": num_parts,
        "part_id": part_id,
        "roi": _labels(roi),
        "raw_labels": raw_labels,
        "output_format": output_format,
    }
    if not output:
        raise ConfigError("The name of the output folder is empty.", "Is it a variable of the shell that is not set?")
    try:
        _run(making, input, Path(output), ray, jobs, as_json, given)
    except KeyboardInterrupt:  # the second one: threads that still prepare a case are not waited for
        sys.stdout.flush()
        os._exit(130)


def _labels(text: str | None) -> list[str] | None:
    """The names after --roi. ConfigError for an empty list."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError("--roi names no label.", "Use names or values, as liver,spleen.")
    return names


def _run(
    making: "Making",
    input: list[str],
    output: Path,
    ray: str | None,
    jobs: int | None,
    as_json: bool,
    given: dict[str, Any],
) -> None:
    """Load, find, segment and show."""
    from medmamba.predict.batch import run as batch
    from medmamba.predict.batch.parts import part_of
    from medmamba.predict.files.cases import find_cases

    from .predicting import BatchScreen, show_outcome

    part_of((), given["num_parts"], given["part_id"])  # what is wrong with it is said before a model is loaded
    loaded = making.load()
    cases = find_cases(input, loaded.recipe)
    with BatchScreen(as_json) as screen:
        outcome: Outcome
        if ray is None:
            ahead = 1 if jobs is None else jobs
            outcome = batch.run(making.predictor(loaded), cases, output, jobs=ahead, watcher=screen, **given)
        else:
            from medmamba.predict.batch import fleet

            where: dict[str, Any] = {"address": ray, "jobs": jobs, "device": making.how["device"]}
            outcome = fleet.run(making.elsewhere(), loaded, cases, output, **where, watcher=screen, **given)
    if not as_json:
        with suppress(OSError):  # a screen that takes no more does not undo what was written
            show_outcome(outcome, output)
