"""medmamba register: bring a moving image onto a fixed one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from medmamba.errors import ConfigError, DataError, SetupError

from . import options, register_evaluate, register_transforms

if TYPE_CHECKING:
    from medmamba.register import Options

_REFUSED = 2
_PAIR, _START, _DEFORM, _WRITTEN, _MACHINE = "Pair", "Affine", "Deformation", "What is written", "Machine"
Modality = Literal["ct", "mri", "auto"]
FixedModality = Annotated[Modality, typer.Option(help="Of the fixed image.", rich_help_panel=_PAIR)]
MovingModality = Annotated[Modality, typer.Option(help="Of the moving image.", rich_help_panel=_PAIR)]
Init = Annotated[
    Literal["none", "header", "center", "moments"] | None,
    typer.Option(help="Where it starts. Default: several, and the best is kept.", rich_help_panel=_START),
]
AffineKind = Annotated[
    Literal["none", "translation", "rigid", "similarity", "affine"],
    typer.Option("--affine", help="What it may do.", rich_help_panel=_START),
]
Model = Annotated[
    str | None,
    typer.Option(help="Trained network: bundle, results folder or DATASET:mambamorph.", rich_help_panel=_DEFORM),
]
Deform = Annotated[
    Literal["none", "net", "search", "net+io", "search+io", "io"] | None,
    typer.Option(help="Stages. Default: search+io, with --model net+io.", rich_help_panel=_DEFORM),
]
Sim = Annotated[
    Literal["auto", "lncc", "mse", "nmi", "mind"],
    typer.Option(help="Similarity; auto: by the images' contrasts.", rich_help_panel=_DEFORM),
]
Iterations = Annotated[int, typer.Option(help="On each level; of very large ones a fifth.", rich_help_panel=_DEFORM)]
IoLabels = Annotated[
    bool,
    typer.Option("--io-labels", help="Segmentations and points guide, not only measure.", rich_help_panel=_DEFORM),
]
AutoSeg = Annotated[
    str | None,
    typer.Option(help="Segmentation model whose labels of both images guide.", rich_help_panel=_DEFORM),
]
RegWeight = Annotated[
    float | None, typer.Option(help="Smoothness of the field; more is smoother.", rich_help_panel=_DEFORM)
]
Diffeo = Annotated[bool, typer.Option(help="A velocity field, which can be inverted.", rich_help_panel=_DEFORM)]
Format = Annotated[
    Literal["itk", "l2r", "both"],
    typer.Option(help="l2r, both: also disp_FIXED_MOVING.nii.gz of Learn2Reg.", rich_help_panel=_WRITTEN),
]
LabelInterp = Annotated[
    Literal["nearest", "linear"], typer.Option(help="How labels are warped and scored.", rich_help_panel=_WRITTEN)
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_MACHINE)]
Seed = Annotated[int, typer.Option(help="The same seed gives the same field.", rich_help_panel=_MACHINE)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.", rich_help_panel=_WRITTEN)]


class _Group(TyperGroup):
    """Gives what cannot be read the exit code of bad arguments, 2: 3 says that a registration got worse."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (DataError, SetupError) as error:
            if type(error) in (DataError, SetupError):
                error.exit_code = _REFUSED
            raise


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    group = typer.Typer(
        cls=_Group,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    group.callback(
        epilog=options.examples(
            "medmamba register --fixed F.nii.gz --moving M.nii.gz --out result",
            "medmamba register --fixed CT.nii.gz --moving MR.nii.gz --out result --affine rigid --deform none",
            "medmamba register --fixed F.nii.gz --moving M.nii.gz --out result --auto-seg Hippocampus:umamba-bot",
        )
    )(pair)
    register_transforms.add(group)
    register_evaluate.add(group)
    group.command("batch", epilog=options.examples("medmamba register batch --pairs pairs.csv --out results"))(batch)
    app.add_typer(group, name="register")


def pair(
    ctx: typer.Context,
    fixed: Annotated[Path | None, typer.Option(help="Image that stays: file or DICOM folder.")] = None,
    moving: Annotated[Path | None, typer.Option(help="Image that is brought onto it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the result.")] = None,
    fixed_seg: Annotated[Path | None, typer.Option(help="Label map.", rich_help_panel=_PAIR)] = None,
    moving_seg: Annotated[Path | None, typer.Option(help="Its labels are warped, too.", rich_help_panel=_PAIR)] = None,
    fixed_mask: Annotated[Path | None, typer.Option(help="Only this region counts.", rich_help_panel=_PAIR)] = None,
    moving_mask: Annotated[Path | None, typer.Option(help="The same.", rich_help_panel=_PAIR)] = None,
    fixed_points: Annotated[
        Path | None, typer.Option(help="Landmarks: csv (x,y,z; mm, LPS), .fcsv, .mrk.json.", rich_help_panel=_PAIR)
    ] = None,
    moving_points: Annotated[
        Path | None, typer.Option(help="The same ones in the same order.", rich_help_panel=_PAIR)
    ] = None,
    fixed_modality: FixedModality = "auto",
    moving_modality: MovingModality = "auto",
    init: Init = None,
    affine: AffineKind = "affine",
    init_transform: Annotated[
        Path | None, typer.Option(help="Start from this: .h5, .tfm, .mat.", rich_help_panel=_START)
    ] = None,
    model: Model = None,
    deform: Deform = None,
    sim: Sim = "auto",
    io_iterations: Iterations = 50,
    io_labels: IoLabels = False,
    auto_seg: AutoSeg = None,
    reg_weight: RegWeight = None,
    diffeo: Diffeo = True,
    format: Format = "itk",
    label_interp: LabelInterp = "nearest",
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Register two images: one transform with its inverse, the warped image, a report and a picture.

    Nothing has to be trained for it; a trained network makes it better. The transform maps fixed points to moving
    points, as ITK's and ANTs' do. Exit codes: 0; 2 for images that are refused; 3 when the result was worse than the
    start and was dropped.
    """
    given = dict(locals())
    if ctx.invoked_subcommand is not None:
        _require_alone(ctx)
        return
    if fixed is None or moving is None or out is None:
        missing = next(name for name in ("fixed", "moving", "out") if given[name] is None)
        if all(given[name] is None for name in ("fixed", "moving", "out")):
            typer.echo(ctx.get_help())
            raise typer.Exit
        raise ConfigError(f"--{missing} is missing.", "`medmamba register --fixed F --moving M --out FOLDER`.")
    from medmamba.register.pair.options import Inputs

    names = ("fixed_seg", "moving_seg", "fixed_mask", "moving_mask", "fixed_points", "moving_points", "init_transform")
    inputs = Inputs(**{name: given[name] for name in names})
    from .registering import run_pair

    code = run_pair(fixed, moving, out, _options(given), inputs, as_json)
    if code:
        raise typer.Exit(code)


def batch(
    pairs: Annotated[Path, typer.Option(help="csv or json: fixed, moving[, name, fixed_seg, moving_seg, ...].")],
    out: Annotated[Path, typer.Option(help="Folder: a folder a pair, summary.json, summary.csv.")],
    fixed_modality: FixedModality = "auto",
    moving_modality: MovingModality = "auto",
    init: Init = None,
    affine: AffineKind = "affine",
    model: Model = None,
    deform: Deform = None,
    sim: Sim = "auto",
    io_iterations: Iterations = 50,
    io_labels: IoLabels = False,
    auto_seg: AutoSeg = None,
    reg_weight: RegWeight = None,
    diffeo: Diffeo = True,
    format: Format = "itk",
    label_interp: LabelInterp = "nearest",
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Register many pairs. Bad ones never stop it; the same command again does what is left.

    Paths in the list are seen from its folder. Results of the same files and options are kept. Exit codes: 0; 6 when
    pairs failed; pairs whose result was worse than the start are told in the summary.
    """
    given = dict(locals())
    from .registering import run_batch

    run_batch(pairs, out, _options(given), as_json)


def _options(given: dict[str, Any]) -> "Options":
    from dataclasses import fields

    from medmamba.register.pair.options import Options

    return Options(**{field.name: given[field.name] for field in fields(Options)})


def _require_alone(ctx: typer.Context) -> None:
    """Raise ConfigError for options of a pair in front of the name of another command."""
    for name, value in ctx.params.items():
        source = ctx.get_parameter_source(name)
        if value is not None and source is not None and source.name == "COMMANDLINE":
            problem = f"--{name.replace('_', '-')} goes with a pair, not with `{ctx.invoked_subcommand}`."
            raise ConfigError(problem, f"See `medmamba register {ctx.invoked_subcommand} --help`.")
