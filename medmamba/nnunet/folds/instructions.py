"""How to segment new images with what `best` found: commands, and nnU-Net's two files that say it."""

import shlex
from pathlib import Path

from ...files import replacing, write_json
from .best import Best
from .parse import as_text

TEXT, INFORMATION = "inference_instructions.txt", "inference_information.json"
_IN, _OUT, _FINAL = "IMAGES", "PREDICTIONS", "PREDICTIONS_PP"


def write(best: Best, dataset_name: str, root: str = "") -> Path:
    """Write inference_instructions.txt and inference_information.json into the dataset's results; return the first.

    dataset_name: nnU-Net's, `Dataset004_Hippocampus`. root: the --data-root option, to be repeated in the commands.
    """
    folder = best.winner.models[0].folder.parent
    write_json(folder / INFORMATION, information(best, dataset_name, root))
    with replacing(folder / TEXT) as temporary:
        temporary.write_text(text(best, dataset_name, root), encoding="utf-8")
    return folder / TEXT


def commands(best: Best, dataset: str, root: str = "") -> list[str]:
    """The medmamba commands: predict (each model), average, post-process."""
    models, folds = best.winner.models, as_text(best.folds)
    several = len(models) > 1
    outputs = [f"{_OUT}_{number}" for number in range(1, len(models) + 1)] if several else [_OUT]
    keep = " --save-probabilities" if several else ""
    lines = [
        f"medmamba predict --model {model.reference(dataset)} --folds {folds} "
        f"--input {_IN} --output {output}{keep}{root}"
        for model, output in zip(models, outputs, strict=True)
    ]
    if several:
        lines.append(f"medmamba ensemble {' '.join(f'--input {output}' for output in outputs)} --output {_OUT}")
    if best.choice.rules:
        rules = shlex.quote(str(best.choice.file))
        lines.append(f"medmamba postprocess --input {_OUT} --rules {rules} --output {_FINAL}")
    return lines


def stock_commands(best: Best, dataset: str) -> list[str]:
    """The same with nnU-Net's own commands."""
    models = best.winner.models
    several = len(models) > 1
    lines, outputs = [], []
    for number, model in enumerate(models, start=1):
        trainer, plans, configuration = model.parts
        outputs.append(f"{_OUT}_{number}" if several else _OUT)
        lines.append(
            f"nnUNetv2_predict -d {dataset} -i {_IN} -o {outputs[-1]} -f {' '.join(map(str, best.folds))} "
            f"-tr {trainer} -c {configuration} -p {plans}" + (" --save_probabilities" if several else "")
        )
    if several:
        lines.append(f"nnUNetv2_ensemble -i {' '.join(outputs)} -o {_OUT}")
    if best.choice.rules:
        pickled, plans_file = (best.winner.folder / name for name in ("postprocessing.pkl", "plans.json"))
        lines.append(
            f"nnUNetv2_apply_postprocessing -i {_OUT} -o {_FINAL} -pp_pkl_file {pickled} -plans_json {plans_file}"
        )
    return lines


def text(best: Best, dataset: str, root: str = "") -> str:
    """inference_instructions.txt."""
    what = "the ensemble of" if len(best.winner.models) > 1 else "the model"
    parts = [
        f"Best on the cross-validation of folds {as_text(best.folds)}: {what} {best.winner.label} "
        f"(mean Dice {best.winner.dice:.4f}).",
        "Post-processing: none helps."
        if not best.choice.rules
        else f"Post-processing raises it to {best.choice.mean_after:.4f}.",
        "",
        "Segment new images with:",
        "",
        *commands(best, dataset, root),
        "",
        "or with nnU-Net's own commands (for our trainers they need nnUNet_extTrainer: see `medmamba env`):",
        "",
        *stock_commands(best, dataset),
    ]
    return "\n".join(parts) + "\n"


def information(best: Best, dataset: str, root: str = "") -> dict[str, object]:
    """inference_information.json: nnU-Net's keys, and the medmamba commands under one of their own."""
    singles = [candidate.models[0] for candidate in best.candidates if len(candidate.models) == 1]
    keys = ("trainer", "plans", "configuration")
    return {
        "folds": list(best.folds),
        "dataset_name_or_id": dataset,
        "considered_models": [dict(zip(keys, model.parts, strict=True)) for model in singles],
        "ensembling_allowed": any(len(candidate.models) > 1 for candidate in best.candidates),
        "all_results": {candidate.name: candidate.dice for candidate in best.candidates},
        "best_model_or_ensemble": {
            "result_on_crossval_pre_pp": best.choice.mean_before,
            "result_on_crossval_post_pp": best.choice.mean_after,
            "postprocessing_file": str(best.winner.folder / "postprocessing.pkl"),
            "some_plans_file": str(best.winner.folder / "plans.json"),
            "selected_model_or_models": [
                dict(zip(("trainer", "plans_identifier", "configuration"), model.parts, strict=True))
                for model in best.winner.models
            ],
        },
        "medmamba": {"rules": str(best.choice.file), "commands": commands(best, dataset, root)},
    }
