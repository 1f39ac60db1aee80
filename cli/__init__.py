"""The command line. One file per command; each imports torch, numpy and nnU-Net only when it runs."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from medmamba import __version__
from medmamba.errors import MedMambaError
from medmamba.runtime import share_cores, take_large_pages

from . import (
    bench,
    best,
    bundle,
    compare,
    datasets,
    demo,
    doctor,
    ensemble,
    env,
    evaluate,
    nets,
    postprocess,
    predict,
    preprocess,
    register,
    report,
    site,
    train,
    validate,
)
from .screen import show_error


class _Commands(TyperGroup):
    """Turns errors for people into one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MedMambaError as error:
            raise SystemExit(show_error(error)) from error
        except KeyboardInterrupt:
            raise SystemExit(130) from None


app = typer.Typer(
    name="medmamba",
    cls=_Commands,
    help="Mamba networks for medical images, as a plug-in of stock nnU-Net v2.",
    epilog="First time here? `medmamba demo` trains a network on volumes made in code, in a few minutes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _module in (
    preprocess,
    train,
    validate,
    best,
    predict,
    ensemble,
    postprocess,
    evaluate,
    compare,
    report,
    register,
    bundle,
):
    _module.register(app)
for _module in (site, nets, datasets, doctor, bench, env, demo):
    _module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medmamba {__version__}")
        raise typer.Exit


_TRAINING = ("train", "demo")
"""Commands that train. They ask for no large pages, see `runtime.take_large_pages`."""


@app.callback()
def _main(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    share_cores()
    if ctx.invoked_subcommand not in _TRAINING:
        take_large_pages()
