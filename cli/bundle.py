"""medmamba bundle: trained models in a form that can be handed to anyone."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medmamba.errors import ConfigError

from . import options
from .screen import print_json, print_table

if TYPE_CHECKING:
    from medmamba.bundle.verify import Inspection

_KEYS = (
    "Keys: openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub; "
    "a secret for --hmac-key: openssl rand -out secret 32"
)
Out = Annotated[Path, typer.Option(help="Bundle to write: a folder, or FILE.tar. It must not exist.")]
Name = Annotated[str | None, typer.Option(help="Of the model; default: dataset, network and configuration.")]
Version = Annotated[str, typer.Option(help="Of the model.")]
Licence = Annotated[str, typer.Option(help="Of the weights, as CC-BY-4.0.")]
Intended = Annotated[str, typer.Option(help='For which images, in words: "MR brain".')]
TrainingData = Annotated[
    list[str] | None, typer.Option(help="Data set that it was trained on, with its licence; again for more.")
]
Sign = Annotated[Path | None, typer.Option(help="Sign with this Ed25519 private key (PEM).")]
HmacKey = Annotated[Path | None, typer.Option(help="File with a secret that maker and user share.")]
SelfTest = Annotated[bool, typer.Option(help="Note what the model makes of a synthetic image.")]
Folds = Annotated[str | None, typer.Option("--folds", "--fold", help="0-4, 0,2,4, all. Default: all trained.")]
Checkpoint = Annotated[str, typer.Option(help="Which file of each fold.")]
BestCheckpoint = Annotated[
    str | None, typer.Option(help="Which file of each fold. Default: the final one; for registration the best one.")
]
Bundle = Annotated[Path, typer.Argument(help="A bundle's folder or .tar.")]
Expect = Annotated[str | None, typer.Option(help="Digest that it must have, sha256:...; it pins every file.")]


def register(app: typer.Typer) -> None:
    """Add the group and its commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Trained models to hand on: safetensors, JSON and digests; no pickle, no code.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    group.command(
        "export",
        epilog=options.examples(
            "medmamba bundle export --model Hippocampus:umamba-bot --out hippocampus.tar",
            'medmamba bundle export --model RESULTS_FOLDER --out FOLDER --intended "MR brain" --sign key.pem',
        )
        + f"\n\n{_KEYS}",
    )(export)
    group.command(
        "import",
        epilog=options.examples(
            "medmamba bundle import RESULTS_FOLDER --out model.tar",
            "medmamba bundle import model.pt --upstream SegMamba --arguments arguments.json "
            "--channels T1,T1c,T2,FLAIR --labels ncr,ed,et --spacing 1,1,1 --patch-size 128,128,128 --out model.tar",
        ),
    )(import_)
    group.command("inspect", epilog=options.examples("medmamba bundle inspect model.tar --json"))(inspect)
    group.command(
        "verify",
        epilog=options.examples(
            "medmamba bundle verify model.tar --expect sha256:4d1c... --self-test",
            "medmamba bundle verify model.tar --public-key key.pub",
        )
        + f"\n\n{_KEYS}",
    )(verify)
    app.add_typer(group, name="bundle")


def export(
    model: Annotated[str, typer.Option(help="RESULTS_FOLDER or DATASET:NET[:PRESET[:CONFIG]].")],
    out: Out,
    folds: Folds = None,
    checkpoint: BestCheckpoint = None,
    name: Name = None,
    version: Version = "1",
    licence: Licence = "",
    intended: Intended = "",
    training_data: TrainingData = None,
    sign: Sign = None,
    hmac_key: HmacKey = None,
    self_test: SelfTest = True,
    data_root: options.DataRoot = None,
) -> None:
    """Write a trained model as a bundle. The same model gives the same bundle, byte by byte."""
    from medmamba.bundle import registration
    from medmamba.bundle.facts import facts_of
    from medmamba.bundle.packing import Wording, trained_model
    from medmamba.bundle.packing import export as run
    from medmamba.bundle.signing import signer
    from medmamba.data.folders import folders
    from medmamba.nnunet.folds.parse import parse_folds
    from medmamba.nnunet.loaded import load_folder, registers
    from medmamba.predict.loading import FINAL

    places = folders(data_root)
    places.export()
    wording = Wording(name, version, licence, intended, tuple(training_data or ()))
    key = signer(sign, hmac_key)
    folder = trained_model(model, places)
    chosen = None if folds is None else parse_folds(folds)
    if registers(folder):
        _written(out, registration.export(folder, out, wording, key, chosen, checkpoint), False)
        return
    file = checkpoint or FINAL
    loaded = load_folder(folder, chosen, file)
    digest = run(loaded, out, facts_of(loaded, folder, file), wording, key, self_test)
    _written(out, digest, self_test)


def import_(
    source: Annotated[Path, typer.Argument(help="nnU-Net's results folder, or an original author's checkpoint.")],
    out: Out,
    upstream: Annotated[
        str | None, typer.Option(help="Original class: UMambaBot, UMambaEnc, SegMamba, LightMUNet, Vivim, ...")
    ] = None,
    arguments: Annotated[Path | None, typer.Option(help="JSON: arguments of the original class.")] = None,
    plans: Annotated[Path | None, typer.Option(help="nnU-Net's plans.json for the model's images.")] = None,
    dataset_json: Annotated[Path | None, typer.Option(help="nnU-Net's dataset.json, with --plans.")] = None,
    config: options.Config = "3d_fullres",
    channels: Annotated[str | None, typer.Option(help="Without plans: names of the channels, T1,T2.")] = None,
    labels: Annotated[str | None, typer.Option(help="Names of labels 1, 2, ...: liver,tumour.")] = None,
    spacing: Annotated[str | None, typer.Option(help="mm of the network's voxels, slowest axis first: 3,1,1.")] = None,
    patch_size: Annotated[str | None, typer.Option(help="Of the network, slowest axis first: 128,128,128.")] = None,
    normalization: Annotated[str, typer.Option(help="zscore, zscore-nonzero, rescale01, rgb01 or none.")] = "zscore",
    mirror: Annotated[bool, typer.Option(help="Whether it was trained with mirrored images.")] = False,
    folds: Folds = None,
    checkpoint: Checkpoint = "checkpoint_final.pth",
    name: Name = None,
    version: Version = "1",
    licence: Licence = "",
    intended: Intended = "",
    training_data: TrainingData = None,
    sign: Sign = None,
    hmac_key: HmacKey = None,
    self_test: SelfTest = True,
) -> None:
    """Make a bundle of other people's checkpoints, read without running code from them."""
    from medmamba.bundle.images import Images
    from medmamba.bundle.importing import import_checkpoint
    from medmamba.bundle.packing import Wording
    from medmamba.bundle.signing import signer
    from medmamba.files import read_json
    from medmamba.nnunet.folds.parse import parse_folds

    if (plans is None) != (dataset_json is None):
        raise ConfigError("Plans and dataset.json go together.", "Give both --plans and --dataset-json, or none.")
    images = Images(
        channels=_names(channels),
        labels=_names(labels),
        spacing=_numbers(spacing),
        patch_size=options.sizes(patch_size),
        normalization=normalization,
        mirror=mirror,
        plans=None if plans is None else read_json(plans),
        dataset=None if dataset_json is None else read_json(dataset_json),
        configuration=config,
    )
    digest = import_checkpoint(
        source,
        out,
        upstream,
        {} if arguments is None else read_json(arguments),
        images,
        None if folds is None else parse_folds(folds),
        checkpoint,
        Wording(name, version, licence, intended, tuple(training_data or ())),
        signer(sign, hmac_key),
        self_test,
    )
    _written(out, digest, self_test)


def inspect(bundle: Bundle, expect: Expect = None, as_json: options.AsJson = False) -> None:
    """What a bundle says of itself. Its weights are not read: `verify` checks them."""
    from medmamba.bundle.verify import inspect as run

    found = run(bundle, expect)
    if as_json:
        print_json(found.as_json())
    else:
        _show(found)


def verify(
    bundle: Bundle,
    expect: Expect = None,
    public_key: Annotated[Path | None, typer.Option(help="Ed25519 public key (PEM) of its maker.")] = None,
    hmac_key: HmacKey = None,
    self_test: Annotated[bool, typer.Option("--self-test", help="Also predict its synthetic image here.")] = False,
    device: options.Device = "auto",
    precision: Annotated[str, typer.Option(help="Of the self-test: auto, fp32, bf16, or fp16 on GPUs.")] = "auto",
    as_json: options.AsJson = False,
) -> None:
    """Check every byte of a bundle, and that its weights are those of its network. Exit code 5 when it is refused."""
    from medmamba.bundle.verify import verify as run

    verdict = run(bundle, expect, public_key, hmac_key, self_test, device, precision)
    if as_json:
        print_json(verdict.as_json())
        return
    found = verdict.inspection
    typer.echo(f"Good:      {bundle} ({len(found.sizes)} files, {_size(sum(found.sizes.values()))})")
    typer.echo(f"Digest:    {found.digest}")
    typer.echo(f"Signature: {found.signature}")
    if verdict.self_test is not None:
        typer.echo(f"Self-test: {verdict.self_test}")


def _written(out: Path, digest: str, self_test: bool) -> None:
    typer.echo(f"Bundle: {out}")
    typer.echo(f"Digest: {digest}")
    typer.echo(f"Next:   medmamba bundle verify {shlex.quote(str(out))} --expect {digest}{' --self-test' * self_test}")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--spacing {text!r} is no list of numbers.", "Use two or three, as 3,1,1.") from error
    return values


def _show(found: "Inspection") -> None:
    from rich.markup import escape

    card = found.card
    rows: list[tuple[str, Any]] = [
        ("name", f"{card.name}, version {card.version}"),
        ("task", {"seg": "segmentation", "reg": "registration"}[card.task]),
        ("network", card.network or card.network_class.rpartition(".")[2]),
        ("configuration", card.configuration),
        ("channels", ", ".join(card.channels)),
        ("labels", ", ".join(name for name in card.labels if name != "background")),
        ("folds", ", ".join(card.folds)),
        ("intended for", card.intended),
        ("trained on", "; ".join(card.training_data)),
        ("licence", card.licence),
        ("origin", card.origin),
        ("Dice", "; ".join(f"fold {fold}: {scores.get('mean')}" for fold, scores in card.metrics.items())),
        ("previous stage", card.previous_stage),
        ("made with", ", ".join(f"{name} {version}" for name, version in card.software.items())),
        ("created", found.created),
        ("size", f"{len(found.sizes)} files, {_size(sum(found.sizes.values()))}"),
        ("signature", found.signature),
        ("digest", found.digest),
    ]
    shown = [(name, escape(str(value))) for name, value in rows if value]
    print_table(escape(str(found.path)), ("entry", "value"), shown)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
