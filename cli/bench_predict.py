"""medmamba bench predict: our prediction beside stock nnU-Net's, whole commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medmamba.errors import ConfigError

from . import options
from .screen import print_json, print_table

if TYPE_CHECKING:
    from medmamba.bench.predict_report import Compared, PredictReport, Row

_COLUMNS = ("command", "runs", "wall s", "CPU s", "peak GiB", "wall", "CPU", "memory", "same voxels", "lowest case")
_WIDTH = 110


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba bench predict",
            "medmamba bench predict --workload many --variant fp32 --size 256x256x160 --classes 61 --stock-processes 1",
            "medmamba bench predict --model FOLDER --input imagesTs --ties --repeats 3 --json > predict.json",
            "medmamba bench predict --workload brain --net segmamba --variant bf16 --repeats 1",
            "medmamba bench predict --limits --max-ram 6G",
        )
    )(predict)


def predict(
    workload: Annotated[
        list[str] | None, typer.Option(help="small, few, many, brain; may be repeated. Not given: small, few, many.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Trained model folder, instead of made ones.")] = None,
    input: Annotated[Path | None, typer.Option(help="Folder of images CASE_0000.nii.gz for --model.")] = None,
    net: Annotated[str, typer.Option(help="Of made models: plain (nnU-Net's PlainConvUNet) or one of ours.")] = "plain",
    size: Annotated[str | None, typer.Option(help="Voxels XxYxZ of a made image.")] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="Of a made model, with the background.")] = None,
    features: Annotated[int | None, typer.Option(min=1, help="First stage of a made plain network.")] = None,
    mirror: Annotated[
        bool | None, typer.Option(help="Both with mirrored copies, or neither; not given: not for large made images.")
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="Ours: fp32, bf16, auto, fast; may be repeated. Not given: fp32, bf16.")
    ] = None,
    ours: Annotated[str, typer.Option(help="Further arguments of medmamba predict.")] = "",
    stock: Annotated[str, typer.Option(help="Further arguments of stock nnU-Net's command.")] = "",
    stock_processes: Annotated[
        int | None, typer.Option(min=1, help="Stock's processes before and after the network; its default: 3 and 3.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda, for both.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Cores for each; all if not given.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; the quickest run counts.")] = 2,
    ties: Annotated[bool, typer.Option("--ties", help="Are differing voxels ties? Stock runs once more.")] = False,
    limits: Annotated[
        bool, typer.Option("--limits", help="Instead: 512x512x600 voxels, 104 classes, within --max-ram.")
    ] = False,
    max_ram: Annotated[str, typer.Option(help="Ceiling for --limits; the system enforces it.")] = "6G",
    out: Annotated[Path | None, typer.Option(help="Folder that keeps images, models, label maps and logs.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny images, one round: does everything run?")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Wall and CPU seconds, peak memory and labels of `medmamba predict` beside stock nnU-Net's command.

    Whole commands on the same images with the same weights, in turn: stock, ours, stock, ours. Stock runs as a user
    types it; the report has the commands. Memory is that of all processes of a command, what they share counted once.
    Made models have random weights: good for cost. Labels are best compared with a trained model (--model, --input).
    """
    import shlex

    if limits:
        _limits(max_ram, tuple(shlex.split(ours)), quick, out, as_json)
        return
    from medmamba.bench.predict_report import PredictOptions

    wanted = PredictOptions(
        **({"workloads": tuple(workload)} if workload else {}),
        model=model,
        images=input,
        network=net,
        size=_size(size),
        classes=classes,
        features=features,
        mirror=mirror,
        **({"variants": tuple(variant)} if variant else {}),
        ours=tuple(shlex.split(ours)),
        stock=tuple(shlex.split(stock)),
        stock_processes=stock_processes,
        device=device,
        threads=threads,
        repeats=repeats,
        ties=ties,
        quick=quick,
    )
    from medmamba.bench.predict import run

    report = run(wanted, out, _tell)
    if as_json:
        print_json(report.as_json())
    else:
        _show(report)


def _limits(max_ram: str, ours: tuple[str, ...], quick: bool, out: Path | None, as_json: bool) -> None:
    from medmamba.bench.predict_limits import run

    report = run(max_ram, ours, quick, out, _tell)
    if as_json:
        print_json(report.as_json())
    else:
        usage, about = report.usage, report.about
        typer.echo(
            f"{about['device']}, {about['threads']} threads, torch {about['versions']['torch']}, {about['date']}"
        )
        typer.echo(f"{report.workload}\n  {report.command}")
        typer.echo(report.absent or f"{usage.wall:.0f} s ({usage.cpu:.0f} CPU s)")
        typer.echo(
            f"peak {usage.peak / 2**30:.2f} GiB, without mapped files {usage.held / 2**30:.2f} GiB; "
            f"ceiling {report.limit / 2**30:.2f} GiB, enforced: {'kept' if report.kept else 'NOT KEPT'}"
        )
    if not report.kept:
        raise typer.Exit(1)


def _tell(text: str) -> None:
    typer.secho(f"  {text}", err=True, dim=True)


def _size(text: str | None) -> tuple[int, int, int] | None:
    """A size as typed, 256x256x160. ConfigError when it is none."""
    if text is None:
        return None
    parts = text.lower().replace(",", "x").split("x")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) for part in parts):
        raise ConfigError(f"--size {text!r} is no size.", "Use three numbers, as 256x256x160.")
    return int(parts[0]), int(parts[1]), int(parts[2])


def _show(report: "PredictReport") -> None:
    from medmamba.bench.process_tree import MEASURE

    about = report.about
    versions = about["versions"]
    typer.echo(f"{about['device']}, {about['threads']} threads for each, torch {versions['torch']}, {about['date']}")
    typer.echo(f"nnU-Net {versions['nnunetv2']}, medmamba {versions['medmamba']}; memory of all processes: {MEASURE}\n")
    for one in report.compared:
        _show_one(one)


def _show_one(one: "Compared") -> None:
    """A workload's table, and the commands behind it."""
    how = "with" if one.mirror else "without"
    title = f"{one.workload}: {one.about}; {how} mirroring, stock with {one.stock_processes} + {one.stock_processes}"
    cells = [_cells(row, one.rows[0]) for row in one.rows]
    print_table(f"{title} processes", _COLUMNS, cells, _COLUMNS[1:], _WIDTH)
    for row in one.rows:
        typer.echo(f"  {row.name}: {row.absent or _words(row)}")
        typer.secho(f"    {row.command}", dim=True)
    typer.echo("")


def _cells(row: "Row", stock: "Row") -> tuple[str, ...]:
    if row.absent:
        return (row.name, str(len(row.runs)), "failed", *[""] * (len(_COLUMNS) - 3))
    ratios = row.against(stock) if row is not stock else {}
    labels = row.agreement
    return (
        row.name,
        str(len(row.runs)),
        f"{row.wall:.1f}",
        f"{row.cpu:.1f}",
        f"{row.peak / 2**30:.2f}",
        *(f"{ratios[name]:.2f}x" if ratios else "-" for name in ("wall", "cpu", "peak")),
        *((f"{labels.same:.4%}", f"{labels.worst.same:.4%}") if labels else ("-", "-")),
    )


def _words(row: "Row") -> str:
    """What the table does not say."""
    spread = ", ".join(f"{run.wall:.1f}" for run in row.runs)
    most = max(run.processes for run in row.runs)
    text = f"{spread} s; {most} process(es) at most"
    labels = row.agreement
    if labels is None:
        return text
    ties = f", {labels.ties} of them ties" if labels.differing and labels.ties is not None else ""
    grid = "" if labels.same_grid else "; GEOMETRY DIFFERS"
    return f"{text}; {labels.differing} of {labels.voxels} voxels differ{ties}{grid}"
