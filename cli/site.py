"""medmamba site: the entrypoint of the container for hospitals and challenges."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command, which reads its arguments itself: `python -m medmamba.site` is the same without this one."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(context_settings=settings)(site)


def site(context: typer.Context) -> None:
    """Container's entrypoint: segment what a hospital or a challenge mounts. `medmamba site --help`."""
    from medmamba.site import main

    raise typer.Exit(main(context.args))
