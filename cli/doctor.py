"""medmamba doctor: what this machine has and what it lacks."""

import typer

from . import options
from .screen import console, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=options.examples("medmamba doctor", "medmamba doctor --json > doctor.json"))(doctor)


def doctor(as_json: options.AsJson = False, data_root: options.DataRoot = None) -> None:
    """Versions, devices, which scan path runs and why, memory, disk; what is missing and the command that fixes it."""
    from rich.markup import escape

    from medmamba.data.folders import folders
    from medmamba.doctor import examine

    findings = examine(folders(data_root))
    if as_json:
        print_json([finding.as_json() for finding in findings])
    else:
        screen = console()
        for finding in findings:
            mark = {"ok": "[green]ok  [/green]", "note": "[yellow]note[/yellow]", "bad": "[red]bad [/red]"}[
                finding.state
            ]
            screen.print(f"{mark} [bold]{finding.what:26}[/bold] {escape(finding.found)}")
            if finding.fix:
                screen.print(f"     {'':26} fix: {escape(finding.fix)}")
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(3)
