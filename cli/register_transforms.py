"""medmamba register warp, points, jacobian, convert: transforms put to use, and into other forms."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from . import options
from .screen import print_json

Transform = Annotated[
    Path, typer.Option(help="Folder of a result, or a file: .h5, .tfm, .mat, .nii.gz, .nrrd, .npz; ITK, ANTs, Slicer.")
]
_INVERSE = "Use the inverse: a result's own, else computed."
_WHOSE = {"fixed-to-moving": "fixed image, now of the moving", "moving-to-fixed": "moving image, now of the fixed"}


def add(group: typer.Typer) -> None:
    """Add the commands to `medmamba register`."""
    group.command(
        "warp",
        epilog=options.examples(
            "medmamba register warp --transform result --input moving.nii.gz --reference fixed.nii.gz "
            "--out warped.nii.gz",
            "medmamba register warp --transform result --input labels.nii.gz --reference fixed.nii.gz --interp label "
            "--out warped_labels.nii.gz",
            "medmamba register warp --transform result --inverse --input fixed.nii.gz --reference moving.nii.gz "
            "--out fixed_on_moving.nii.gz",
        ),
    )(warp)
    group.command(
        "points",
        epilog=options.examples(
            "medmamba register points --transform result --points moving.csv --direction moving-to-fixed "
            "--out fixed.csv",
            "medmamba register points --transform result --points fixed.mrk.json --out moving.mrk.json",
        ),
    )(points)
    group.command(
        "jacobian",
        epilog=options.examples(
            "medmamba register jacobian --transform result --reference fixed.nii.gz --out jacobian.nii.gz --log"
        ),
    )(jacobian)
    group.command(
        "convert",
        epilog=options.examples(
            "medmamba register convert --transform result --to itk-nifti --out displacement.nii.gz",
            "medmamba register convert --transform x1Warp.nii.gz --to l2r --reference fixed.nii.gz --out disp.nii.gz",
            "medmamba register convert --transform disp.npz --to itk-h5 --reference fixed.nii.gz --out transform.h5",
        ),
    )(convert)


def warp(
    transform: Transform,
    input: Annotated[Path, typer.Option(help="Image that is brought over: file or DICOM folder.")],
    reference: Annotated[Path, typer.Option(help="Image onto whose grid it is brought.")],
    out: Annotated[Path, typer.Option(help="Image to write: .nii.gz, .nii, .mha, .nrrd.")],
    inverse: Annotated[
        bool, typer.Option("--inverse", help=f"Bring a fixed image onto the moving one. {_INVERSE}")
    ] = False,
    interp: Annotated[
        Literal["linear", "nearest", "label", "bspline"],
        typer.Option(help="label: of label maps, smoother borders than nearest, no label is ever mixed."),
    ] = "linear",
    pad_value: Annotated[
        float | None, typer.Option(help="Where the input does not reach. Default: its smallest number.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Bring an image onto the grid of another through a transform: one resampling, the image's own type and range."""
    from medmamba.register.apply import warp as run

    done = run(transform, input, reference, out, inverse, interp, pad_value)
    shape = " x ".join(map(str, done["shape"]))
    outside = f"{100 * done['outside_share']:.1f} % of them where the input does not reach"
    _tell(done, f"{out}: {shape} voxels of {done['dtype']}, {outside}.", as_json)


def points(
    transform: Transform,
    points: Annotated[Path, typer.Option(help=".csv (x,y,z[,label]), or Slicer's .fcsv and .mrk.json.")],
    out: Annotated[Path, typer.Option(help="List to write: .csv, .fcsv, .mrk.json.")],
    direction: Annotated[
        Literal["fixed-to-moving", "moving-to-fixed"],
        typer.Option(help="Whose points they are, and whose they become. Images travel against their points."),
    ] = "fixed-to-moving",
    space: Annotated[
        Literal["lps", "ras", "voxel"],
        typer.Option(help="Numbers of a .csv, in and out: mm in LPS (ITK, ANTs) or RAS, or voxels of the images."),
    ] = "lps",
    fixed: Annotated[Path | None, typer.Option(help="Fixed image; for --space voxel and for .npz.")] = None,
    moving: Annotated[Path | None, typer.Option(help="Moving image; for --space voxel.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Send landmarks of one image to the other."""
    from medmamba.register.apply import points as run

    done = run(transform, points, out, direction, space, fixed, moving)
    moved = f"by {done['mean_mm']:.2f} mm on average, {done['largest_mm']:.2f} mm at most"
    _tell(done, f"{out}: {done['points']} point(s) of the {_WHOSE[direction]} one; moved {moved}.", as_json)


def jacobian(
    transform: Transform,
    reference: Annotated[Path, typer.Option(help="Fixed image, whose grid is written.")],
    out: Annotated[Path, typer.Option(help="Image to write, float32.")],
    log: Annotated[bool, typer.Option("--log", help="Write the natural logarithm.")] = False,
    inverse: Annotated[
        bool, typer.Option("--inverse", help=f"{_INVERSE} Then --reference is the moving image.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Write how volumes change: mm^3 of the moving image a mm^3 of the fixed one. 0 and less is folded."""
    from medmamba.register.apply import write_jacobian as run

    done = run(transform, reference, out, log, inverse)
    of = done["determinant"]
    text = f"{out}: determinant {of['least']:.3f} to {of['largest']:.3f}, {of['mean']:.3f} on average"
    _tell(done, f"{text}; {done['folded_voxels']} voxel(s) folded ({done['folded_percent']:.3f} %).", as_json)


def convert(
    transform: Transform,
    to: Annotated[
        Literal["itk-h5", "itk-nifti", "slicer-1006", "l2r", "voxel-npz"],
        typer.Option(
            help="itk-h5: composite, or one affine map as .tfm, .mat. itk-nifti: mm, LPS, intent 1007 (ANTs). "
            "slicer-1006: mm, RAS, intent 1006. l2r: Learn2Reg's voxels. voxel-npz: voxels with their affine."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write.")],
    reference: Annotated[
        Path | None, typer.Option(help="Fixed image, on whose grid a field is written. Default: the field's own.")
    ] = None,
    moving: Annotated[Path | None, typer.Option(help="Moving image; for l2r, where it has another grid.")] = None,
    inverse: Annotated[bool, typer.Option("--inverse", help=_INVERSE)] = False,
    as_json: options.AsJson = False,
) -> None:
    """Write a transform in another form. What was written is read again and compared."""
    from medmamba.register.apply import convert as run

    done = run(transform, to, out, reference, moving, inverse)
    _tell(
        done, f"{out}: read again, it differs at its voxels by {done['largest_difference_mm']:.2g} mm at most.", as_json
    )


def _tell(done: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    typer.echo(text)
    if (back := done.get("inverse_residual_mm")) is not None:
        off = f"off by {back['mean']:.2g} mm on average, by {back['p95']:.2g} mm or more for 5 %"
        typer.echo(f"The inverse was computed: {off} of its voxels.")
    for warning in done["warnings"]:
        typer.secho(warning, fg="yellow", err=True)
