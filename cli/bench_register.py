"""medmamba bench register: our registration beside SimpleITK's and the peers that are installed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medmamba.errors import ConfigError

from . import options
from .screen import print_json, print_table

if TYPE_CHECKING:
    from medmamba.bench.register_report import RegisterReport, Row

_COLUMNS = (
    "method", "Dice", "95 %", "worst", "TRE mm", "fold %", "most", "SDlogJ", "LNCC", "NMI", "CPU s", "wall s", "GiB",
    "Dice against", "better",
)  # fmt: skip
_WIDTH = 150


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "register",
        epilog=options.examples(
            "medmamba bench register --pairs pairs.csv --images imagesTs --labels labelsTs",
            "medmamba bench register --pairs pairs.csv --images imagesTs --labels labelsTs --remap --limit 5 --json",
            "medmamba bench register --pairs pairs.csv --images FOLDER --own-grids --method affine+search+io "
            "--method ants-syn --peers-python peers/bin/python",
        ),
    )(bench)


def bench(
    pairs: Annotated[Path, typer.Option(help="CSV or JSON with fixed and moving cases.")],
    images: Annotated[list[Path], typer.Option(help="Folder of images; may be repeated.")],
    labels: Annotated[list[Path] | None, typer.Option(help="Folder of label maps; may be repeated.")] = None,
    points: Annotated[list[Path] | None, typer.Option(help="Folder of landmarks, CASE.csv in voxels.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="identity, affine, sitk-demons, ...; may be repeated. Not given: all.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Registration network, for affine+net and affine+net+io.")] = None,
    auto_seg: Annotated[str | None, typer.Option(help="Segmentation model, for auto-seg.")] = None,
    peers_python: Annotated[
        Path | None, typer.Option(help="A Python that has ants or convexAdam, where this one has not.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Common grid, as 48x64x48. Not given: multiples of 16 that hold all images.")
    ] = None,
    own_grids: Annotated[bool, typer.Option("--own-grids", help="Do not centre: images stay where they lie.")] = False,
    remap: Annotated[bool, typer.Option("--remap", help="Moving contrast to sin(pi m)^2.")] = False,
    label_interp: Annotated[str, typer.Option(help="How labels are warped for scoring: linear or nearest.")] = "linear",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first pairs.")] = None,
    baseline: Annotated[str, typer.Option(help="Method that others are compared with.")] = "sitk-demons",
    threads: Annotated[int | None, typer.Option(min=1, help="For each method; all cores if not given.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that keeps pairs, fields and logs.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Dice, landmark error, folding, seconds and memory of registration methods on the same pairs.

    All get the same prepared images: scaled to [0, 1] and centred on one grid, unless --own-grids. The whole transform
    of each becomes one field on the fixed grid, and one routine scores it. Ours are whole `medmamba register` runs,
    outputs written. Methods: identity, affine, affine+search, affine+search+io, affine+net, affine+net+io, auto-seg,
    sitk-affine, sitk-affine-mi, sitk-demons, sitk-demons-mi, sitk-bspline, ants-syn, convexadam.
    """
    from medmamba.bench.register import run
    from medmamba.bench.register_options import RegisterOptions

    wanted = RegisterOptions(
        pairs=pairs,
        images=tuple(images),
        labels=tuple(labels or ()),
        points=tuple(points or ()),
        methods=tuple(method or ()),
        model=model,
        auto_seg=auto_seg,
        peers_python=peers_python,
        size=_size(size),
        own_grids=own_grids,
        remap=remap,
        interpolation=label_interp,
        limit=limit,
        baseline=baseline,
        threads=threads,
    )
    report = run(wanted, out, _tell)
    if as_json:
        print_json(report.as_json())
    else:
        _show(report)


def _tell(text: str) -> None:
    typer.secho(f"  {text}", err=True, dim=True)


def _size(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    found = options.sizes(text)
    if found is None or len(found) != 3:
        raise ConfigError(f"--size {text!r} is no size of a volume.", "Use three numbers, as 48x64x48.")
    return found[0], found[1], found[2]


def _show(report: "RegisterReport") -> None:
    about = report.about
    typer.echo(f"{about['device']}, {about['threads']} threads, torch {about['versions']['torch']}, {about['date']}")
    title = f"{report.preparation}; labels warped once, {report.interpolation}; against {report.baseline}"
    kept = [row for row in report.rows if not row.absent]
    cells = [_cells(row, report.reference) for row in kept]
    used = [i for i, _ in enumerate(_COLUMNS) if not i or any(line[i] != "-" for line in cells)]
    columns = [_COLUMNS[i] for i in used]
    print_table(title, columns, [[line[i] for i in used] for line in cells], columns[1:], _WIDTH)
    for row in report.rows:
        if row.absent:
            typer.echo(f"  {row.name}: {row.absent}")
        for line in row.failed:
            typer.echo(f"  {row.name}, {line}")
        if stayed := sum(bool(one.note) for one in row.timings):
            typer.echo(f"  {row.name}: {stayed} pairs kept their start, exit code 3")


def _cells(row: "Row", reference: "Row | None") -> tuple[str, ...]:
    dice, tre = row.interval("dice"), row.interval("tre_mm")
    gain = row.against(reference, "dice") if reference is not None and reference is not row else None
    means = {name: one.mean for name in ("folding_percent", "sdlogj", "lncc", "nmi") if (one := row.interval(name))}
    return (
        row.name,
        "-" if dice is None else f"{dice.mean:.4f}",
        "-" if dice is None else f"{dice.low:.3f}-{dice.high:.3f}",
        _number(row.extreme("dice", largest=False), 3),
        "-" if tre is None else f"{tre.mean:.2f}",
        _number(means.get("folding_percent"), 4),
        _number(row.extreme("folding_percent", largest=True), 2),
        *(_number(means.get(name), 3) for name in ("sdlogj", "lncc", "nmi")),
        *(_number(row.seconds(kind), 2) for kind in ("cpu", "wall")),
        f"{row.peak / 2**30:.2f}" if row.peak else "-",
        "-" if gain is None else f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
        "-" if gain is None else f"{gain.higher}/{gain.n}",
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
