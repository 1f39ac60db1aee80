"""medmamba evaluate: score segmentations against reference labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medmamba.errors import ConfigError, DataError

from . import options
from .screen import case_bar, number, print_json, print_table

if TYPE_CHECKING:
    from medmamba.data.folders import Folders
    from medmamba.evaluate.report import Report, Summary
    from medmamba.evaluate.targets import Rules


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=options.examples(
            "medmamba evaluate --pred predictions --ref labelsTs --dataset Hippocampus --out scores",
            "medmamba evaluate --pred predictions --ref labelsTs --dataset dataset.json --tolerance liver=5,spleen=3",
            "medmamba compare scores other_scores",
        )
    )(evaluate)


def evaluate(
    pred: Annotated[Path, typer.Option(help="Folder of segmentations.")],
    ref: Annotated[Path, typer.Option(help="Folder of reference labels of the same names.")],
    dataset: Annotated[
        str | None, typer.Option(help="Take labels, regions and rules from this dataset, or from a dataset.json.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="The same as --dataset with a file.", hidden=True)] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(help="Of the surface Dice in mm: 2, or liver=5,spleen=3. Default: the dataset card's, else 1."),
    ] = None,
    lesion_wise: Annotated[
        bool | None,
        typer.Option(help="Also score lesion by lesion (BraTS 2023 rules). Default: where the dataset card does."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for metrics.json and metrics.csv.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Cases at a time. Default: one a core, as far as memory goes.")
    ] = None,
    as_json: options.AsJson = False,
    data_root: options.DataRoot = None,
) -> None:
    """Overlap, surface distances, volumes and detection per label, region and case, with 95 % intervals.

    Nothing is resampled: a case whose files do not lie on one grid, are damaged, missing or hold undeclared labels is
    named, the others are scored, and the exit code is 6. Where a structure is in neither map it has no figure; where it
    is in one alone Dice is 0 and HD95 the diagonal of the image.
    """
    from medmamba.data.folders import folders
    from medmamba.evaluate.folder import evaluate_folder
    from medmamba.files import writable
    from medmamba.predict.batch.failures import BatchError

    if (dataset is None) == (labels is None):
        raise ConfigError("Which labels?", "Give --dataset NAME, or --dataset dataset.json.")
    rules = _rules(str(labels or dataset), folders(data_root), tolerance, lesion_wise)
    if out is not None:
        with writable(out):  # before the work
            out.mkdir(parents=True, exist_ok=True)
    with case_bar() as on_case:
        report = evaluate_folder(pred, ref, rules, jobs=jobs, on_case=on_case)
    if not report.scores:
        case, problem = next(iter(report.failures.items()))
        problem = f"None of {len(report.failures)} cases can be scored; {case}: {problem}."
        raise DataError(problem, "Check --pred, --ref and --dataset.")
    if out is not None:
        report.write(out)
    if as_json:
        print_json(report.as_json())
    else:
        _show(report, out)
    if report.failures:
        raise BatchError([ref / case for case in report.scores], dict(report.failures), "cases were scored")


def _rules(dataset: str, places: "Folders", tolerance: str | None, lesion_wise: bool | None) -> "Rules":
    """From a dataset.json, whose name may be that of a card, else from a dataset that is known."""
    from medmamba.data.cards import cards
    from medmamba.data.find import dataset_card, dataset_json
    from medmamba.evaluate.targets import rules_of
    from medmamba.files import read_json

    if dataset.endswith(".json"):
        content = read_json(Path(dataset))
        name = str(content.get("name", ""))
        card = next((card for card in cards().values() if card.answers_to(name)), None)
    else:
        content, card = dataset_json(dataset, places), dataset_card(dataset, places)
    return rules_of(content, card, tolerance, lesion_wise)


def _show(report: "Report", out: Path | None) -> None:
    """A table of the targets, one of lesions, and where everything is."""
    rows = [_row(report, target.name, f"{target.tolerance:g}") for target in report.rules.targets]
    means = [report.means.get(name) for name in ("dice", "iou", "nsd", "hd95_mm", "assd_mm")]
    rows.append(("mean", *(_brief(one.mean if one else None) for one in means), "", "", "", "", ""))
    columns = ("target", "Dice", "IoU", "NSD", "HD95", "ASSD", "at mm", "volume %", "cases", "empty", "one empty")
    count = len(report.scores)
    print_table(f"{count} case" + "s" * (count != 1), columns, rows, right=columns[1:], width=100)
    if (dice := report.means.get("dice")) is not None:
        typer.echo(f"Mean Dice {number(dice.mean)}, 95 % interval {number(dice.low)} to {number(dice.high)}.")
    _show_detection(report)
    for note in report.notes:
        typer.echo(note)
    if out is not None:
        typer.echo(f"All cases and intervals: {out / 'metrics.json'}, {out / 'metrics.csv'}")


def _row(report: "Report", target: str, tolerance: str) -> tuple[str, ...]:
    found, empties = report.summaries[target], report.empties(target)
    measures = [_mean(found[name]) for name in ("dice", "iou", "nsd", "hd95_mm", "assd_mm")]
    dice, counts = found["dice"], [str(empties[name]) for name in ("empty", "one_empty")]
    return (target, *measures, tolerance, _mean(found["volume_error_percent"]), str(dice.n if dice else 0), *counts)


def _show_detection(report: "Report") -> None:
    """Lesions where they were asked for; else cases, where a structure is not everywhere."""
    lesions = report.rules.lesions is not None
    rows: list[tuple[str, ...]] = []
    for target in report.rules.targets:
        if lesions:
            counts, found = report.lesions(target.name), report.summaries[target.name]
            rates = [_brief(counts[name]) for name in ("sensitivity", "precision")]
            plain = [str(counts[name]) for name in ("found", "missed", "false")]
            rows.append((target.name, _mean(found["lesion_dice"]), _mean(found["lesion_hd95_mm"]), *plain, *rates))
        elif (one := report.detection(target.name)).missed + one.invented + one.absent:
            rates = [_brief(rate) for rate in (one.sensitivity, one.specificity)]
            rows.append((target.name, *map(str, (one.found, one.missed, one.invented, one.absent)), *rates))
    if not rows:
        return
    titles = ("found", "missed", "false", "sensitivity", "precision")
    columns = ("target", "Dice", "HD95", *titles) if lesions else (
        "target", "found", "missed", "invented", "absent", "sensitivity", "specificity")  # fmt: skip
    print_table("Lesions" if lesions else "Detection, in cases", columns, rows, right=columns[1:], width=100)


def _mean(summary: "Summary | None") -> str:
    return _brief(None if summary is None else summary.mean)


def _brief(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"
