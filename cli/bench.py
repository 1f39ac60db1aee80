"""medmamba bench: how fast, how large and how exact, beside the peers that are installed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import bench_predict, bench_register, bench_train, options
from .screen import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from medmamba.bench.network_report import NetworkReport, NetworkRow
    from medmamba.bench.report import Row, ScanReport

_app = typer.Typer(no_args_is_help=True, help="Measure the scan and the networks on this machine, beside peers.")
_WIDTH = 120
_CAPABILITIES = (80, 86, 89, 90)
_SCAN_COLUMNS = (
    "implementation", "L", "forward ms", "G/s", "/core", "backward ms", "G/s", "/core",
    "MiB", "train", "error", "bound",
)  # fmt: skip
_PER_CORE = "/core"
_NETWORK_COLUMNS = (
    "network", "mixer", "as", "forward s", "CPU s", "speed", "step s", "GiB", "train", "scans", "convs", "error",
)  # fmt: skip

Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all that torch uses if not given.")]
Repeats = Annotated[int, typer.Option(min=1, help="Rounds; minimum and median count.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bench_train.register(_app)
    bench_predict.register(_app)
    bench_register.register(_app)
    app.add_typer(_app, name="bench")


def _tell(text: str) -> None:
    typer.secho(f"  {text}", err=True, dim=True)


@_app.command(
    epilog=options.examples(
        "medmamba bench scan",
        "medmamba bench scan --workload segmamba-0 --dtype bf16 --threads 1 --no-peers",
        "medmamba bench scan --workload all --only mamba-ssm --only triton --json > scan.json",
    )
)
def scan(
    workload: Annotated[list[str] | None, typer.Option(help="May be repeated; all for every one.")] = None,
    device: options.Device = "auto",
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16, of inputs and outputs.")] = "fp32",
    threads: Threads = None,
    directions: Annotated[int | None, typer.Option(help="1 or 3; both where a network has three if not given.")] = None,
    backward: Annotated[bool, typer.Option(help="Also training: forward that keeps states, and backward.")] = True,
    peers: Annotated[bool, typer.Option(help="Implementations of others beside ours.")] = True,
    only: Annotated[list[str] | None, typer.Option(help="Those with this in their name; may be repeated.")] = None,
    repeats: Repeats = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Short sequences: does everything run?")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Time, rate, peak memory and error of the selective scan: ours, its directions, and the peers.

    A rate counts (batch, position, channel, state) elements, so that slow peers can run on a shorter sequence (column
    L). "bound" is the part of what this machine's exponentials and memory allow that forward / backward reach. "MiB" is
    the peak beyond inputs and output, "train" that of a training step, also beyond the gradients. "+ copies" makes
    three directions of three forward scans around flipped and permuted copies.
    """
    from medmamba import runtime
    from medmamba.bench.report import ScanOptions
    from medmamba.bench.scan import run

    wanted = ScanOptions(
        workloads=tuple(workload or ()),
        dtype=dtype,
        threads=threads,
        directions=directions,
        backward=backward,
        peers=peers,
        only=tuple(only or ()),
        repeats=repeats,
        quick=quick,
    )
    report = run(wanted, runtime.device(device), _tell)
    if as_json:
        print_json(report.as_json())
    else:
        _show_scan(report)


def _show_scan(report: "ScanReport") -> None:
    """A table for each workload and number of directions, and how far the peers are behind."""
    about, limits = report.about, report.limits
    cores = about["threads"]
    several = cores > 1 and not about["gpu"]
    typer.echo(f"{_machine(about)}; {report.dtype}")
    typer.echo(f"limits: {limits.exps / 1e9:.1f} G exp/s ({limits.exps_by}), copy {limits.bandwidth / 1e9:.1f} GB/s\n")
    groups: dict[tuple[str, bool], list[Row]] = {}
    for row in report.rows:
        groups.setdefault((row.workload, len(row.directions) == 3), []).append(row)
    for (name, three), rows in groups.items():
        shape = max((row.shape for row in rows), key=lambda shape: shape.length)
        title = f"{name}: {shape.about}; D={shape.channels} N={shape.states}{', three directions' if three else ''}"
        lines = [_scan_row(row, cores) for row in rows]
        kept = [i for i, column in enumerate(_SCAN_COLUMNS) if column != _PER_CORE or several]
        columns = [_SCAN_COLUMNS[i] for i in kept]
        print_table(title, columns, [[line[i] for i in kept] for line in lines], columns[1:], _WIDTH)
        for line in (*_reasons(rows), *_ratios(rows)):
            typer.echo(f"  {line}")
        typer.echo("")


def _machine(about: "dict[str, Any]") -> str:
    """The machine in one line."""
    threads = "" if about["gpu"] else f", {about['threads']} threads"
    return f"{about['device']}{threads}, torch {about['versions']['torch']}, {about['date']}"


def _scan_row(row: "Row", cores: int) -> tuple[str, ...]:
    if row.absent:
        short = row.absent.partition(":")[0]
        return (row.name, "", short if len(short) <= 13 else "cannot", *[""] * (len(_SCAN_COLUMNS) - 3))
    memory = [_mib(row.memory.get(part)) for part in ("forward", "training")]
    bounds = [f"{share:.0%}" for part in ("forward", "backward") if (share := row.fraction(part)) is not None]
    return (
        row.name,
        str(row.shape.length),
        *_speed(row, "forward", cores),
        *_speed(row, "backward", cores),
        *memory,
        f"{row.errors['y']:.0e}",
        " ".join(bounds),
    )


def _speed(row: "Row", part: str, cores: int) -> tuple[str, str, str]:
    """Milliseconds as minimum (median), rate, rate per core."""
    timing, rate = row.timings.get(part), row.rate(part)
    if timing is None or rate is None:
        return "-", "-", "-"
    return (
        f"{_three(timing.minimum * 1e3)} ({_three(timing.median * 1e3)})",
        _three(rate / 1e9),
        _three(rate / 1e9 / cores),
    )


def _three(value: float) -> str:
    """About three digits, never an exponent."""
    if value < 0.0995:
        return f"{value:.4f}"
    return f"{value:.{0 if value >= 99.5 else 1 if value >= 9.95 else 2}f}"


def _mib(count: int | None) -> str:
    return "-" if count is None else _three(count / 2**20)


def _reasons(rows: "Sequence[Row]") -> "Iterable[str]":
    """Why some have no figures."""
    return (f"{row.name}: {row.absent}" for row in rows if row.absent)


def _ratios(rows: "Sequence[Row]") -> "Iterable[str]":
    """How many times the rate of the best path lies above each other one's."""
    from medmamba.bench.report import TRAINING

    present = [row for row in rows if not row.absent]
    for best, row in zip(present[:1] * len(present), present[1:], strict=False):
        forward, training = row.slower(best, "forward"), row.slower(best, *TRAINING)
        if forward:
            also = f", {_three(training)}x forward and backward" if training else ""
            yield f"{best.name} against {row.name}: {_three(forward)}x forward{also}"


@_app.command(
    epilog=options.examples(
        "medmamba bench network --net segmamba --threads 2",
        "medmamba bench network --net umamba-enc --patch 96 --dtype fp32 --dtype bf16",
        "medmamba bench network --net segmamba --device cuda --dtype bf16 --batch 2 --json",
    )
)
def network(
    net: Annotated[list[str] | None, typer.Option(help="May be repeated; all if not given.")] = None,
    device: options.Device = "auto",
    dtype: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16, fp16; may be repeated. bf16 only where there are units for it."),
    ] = None,
    patch: Annotated[str, typer.Option(help="paper, small (64), or the edge of a cube.")] = "paper",
    batch: Annotated[int, typer.Option(min=1, help="Patches at once.")] = 1,
    train: Annotated[bool | None, typer.Option(help="Also a training step; on a GPU if not given.")] = None,
    threads: Threads = None,
    repeats: Repeats = 3,
    as_json: options.AsJson = False,
) -> None:
    """Seconds per patch and peak memory of whole networks, beside their twin without a scan and nnU-Net's plain U-Net.

    "as": in torch, under autocast, or on a CPU in medmamba's engine ("+": in a process that keeps freed memory).
    "speed" is against torch fp32. "scans" and "convs" are parts of a forward's time, as far as operators are named.
    "GiB" is the peak beyond weights, input and output; "train" that of a step, with gradients and momentum. "error" is
    against torch fp32.
    """
    from medmamba import runtime
    from medmamba.bench.network import run
    from medmamba.bench.network_report import NetworkOptions

    wanted = NetworkOptions(
        nets=tuple(net or ()),
        dtypes=tuple(dtype or ()),
        patch=patch,
        batch=batch,
        train=train,
        threads=threads,
        repeats=repeats,
    )
    report = run(wanted, runtime.device(device), _tell)
    if as_json:
        print_json(report.as_json())
    else:
        _show_network(report)


def _show_network(report: "NetworkReport") -> None:
    """A table for each network."""
    typer.echo(_machine(report.about) + "\n")
    groups: dict[str, list[NetworkRow]] = {}
    for row in report.rows:
        groups.setdefault(row.group, []).append(row)
    for name, rows in groups.items():
        first = rows[0].contender
        title = f"{name}: patch {'x'.join(map(str, first.subject.patch))}, batch {first.batch}"
        print_table(title, _NETWORK_COLUMNS, [_network_row(row, rows) for row in rows], _NETWORK_COLUMNS[3:], _WIDTH)
        for row in rows:
            if row.absent:
                typer.echo(f"  {row.contender.subject.name} {row.contender.mixer} {row.contender.how}: {row.absent}")


def _network_row(row: "NetworkRow", rows: "Sequence[NetworkRow]") -> tuple[str, ...]:
    form = row.contender
    same = [one for one in rows if one.contender.subject == form.subject and one.contender.mixer == form.mixer]
    plain = next((one for one in same if one.contender.how == "torch fp32"), None)
    speed = row.speed(plain) if plain else None
    forward, cpu, step = (row.timings.get(part) for part in ("forward", "forward_cpu", "train"))
    return (
        f"{form.subject.name} {row.parameters / 1e6:.1f} M",
        form.mixer or "-",
        form.how,
        f"{_three(forward.minimum)} ({_three(forward.median)})" if forward else "-",
        _three(cpu.minimum) if cpu else "-",
        f"{speed:.2f}x" if speed else "-",
        _three(step.minimum) if step else "-",
        *(_gib(row.memory.get(part)) for part in ("forward", "train")),
        *(f"{row.shares[part]:.0%}" if part in row.shares else "-" for part in ("scan", "convolution")),
        "-" if row.error is None else f"{row.error:.0e}" if row.error else "0",
    )


def _gib(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**30:.2f}"


@_app.command(
    epilog=options.examples(
        "medmamba bench labels --dataset Hippocampus --net segmamba --preset small --input imagesTs",
        "medmamba bench labels --model FOLDER --input CASE_0000.nii.gz --mirror",
    )
)
def labels(
    input: Annotated[Path, typer.Option(help="Folder of images CASE_0000.nii.gz, or one such file.")],
    dataset: Annotated[str | None, typer.Option(help="Dataset that the network was trained on.")] = None,
    net: Annotated[str | None, typer.Option(help="Network that was trained.")] = None,
    preset: options.Preset = "default",
    config: options.Config = "3d_fullres",
    model: Annotated[Path | None, typer.Option(help="Model folder, instead of --dataset and --net.")] = None,
    mirror: Annotated[bool, typer.Option(help="Average over mirrored images.")] = False,
    data_root: options.DataRoot = None,
    as_json: options.AsJson = False,
) -> None:
    """Labels of the CPU engine, in fp32 and bf16, against those of torch in fp32: a trained model on real images."""
    from medmamba.data.folders import folders

    places = folders(data_root)
    places.export()
    from medmamba.bench.labels import compare
    from medmamba.engine import reuse_memory

    reuse_memory()
    rows = compare(options.model_folder(model, dataset, net, preset, config, places), input, mirror, _tell)
    if as_json:
        print_json([row.as_json() for row in rows])
        return
    title = f"{rows[0].images} images, labels against {rows[0].form}"
    columns = ("form", "seconds", "same voxels", "lowest image", "of the foreground")
    cells = [
        (row.form, f"{row.seconds:.0f}", f"{row.mean:.4%}", f"{row.lowest:.4%}", f"{row.foreground:.3%}")
        for row in rows
    ]
    print_table(title, columns, cells, columns[1:])


@_app.command(
    epilog=options.examples("medmamba bench kernels", "medmamba bench kernels --states 8 --capability 80 --json")
)
def kernels(
    states: Annotated[int, typer.Option(min=1, max=256, help="N, the states of the scan.")] = 16,
    capability: Annotated[int, typer.Option(help="Architecture: 80 (A100), 90 (H100, H200).")] = 90,
    as_json: options.AsJson = False,
) -> None:
    """What the GPU kernels compile to, found without a GPU: registers, shared memory and spilled bytes."""
    from importlib.util import find_spec

    from medmamba.errors import ConfigError, SetupError

    if capability not in _CAPABILITIES:  # the compiler ends the process for one that it does not know
        raise ConfigError(
            f"No kernels are compiled for --capability {capability}.",
            f"Use one of {', '.join(map(str, _CAPABILITIES))}.",
        )
    if find_spec("triton") is None:
        raise SetupError("Triton is not installed here.", "Install the triton that fits this torch (Linux).")
    from dataclasses import asdict

    from medmamba.scan.gpu.compiled import compiled_kernels

    _tell("compiling")
    rows = compiled_kernels(states, capabilities=(capability,))
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    columns = ("kernel", "type", "registers", "spilled bytes", "shared bytes", "programs")
    cells = [(row.kernel, row.dtype, *map(str, (row.registers, row.spilled, row.shared, row.programs))) for row in rows]
    print_table(f"sm_{capability}, N={states}", columns, cells, columns[2:], _WIDTH)
