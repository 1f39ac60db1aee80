"""Post-processing rules: keep the largest connected component of some labels. Read, written and applied.

The file is nnU-Net's own postprocessing.json, which says everything that its pickle says.
"""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation
from numpy.typing import NDArray

from ...errors import ConfigError, DataError
from ...files import read_json, replacing, write_json
from .. import batches
from . import pickles
from .scoring import LabelFiles

_FUNCTION = remove_all_but_largest_component_from_segmentation


@dataclass(frozen=True)
class Rule:
    """Of the voxels that have any of `labels`, those outside the largest connected component become background."""

    labels: tuple[int, ...]
    background: int = 0

    def apply(self, label_map: NDArray[Any]) -> NDArray[Any]:
        """A changed copy of a label map."""
        changed: NDArray[Any] = _FUNCTION(label_map, list(self.labels), self.background)
        return changed

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of nnU-Net's function."""
        given: dict[str, Any] = {"labels_or_regions": self.labels[0] if len(self.labels) == 1 else list(self.labels)}
        return given if self.background == 0 else {**given, "background_label": self.background}


def apply(rules: Sequence[Rule], label_map: NDArray[Any]) -> NDArray[Any]:
    """One rule after the other."""
    for rule in rules:
        label_map = rule.apply(label_map)
    return label_map


def read_rules(path: Path) -> list[Rule]:
    """The rules in nnU-Net's postprocessing.json, or in its postprocessing.pkl, of which nothing is executed.

    Raises DataError when the file is something else or names a function other than nnU-Net's one.
    """
    if path.suffix == ".json":
        content = read_json(path)
        names, arguments = content.get("postprocessing_fns"), content.get("postprocessing_kwargs")
    else:
        content = pickles.read(path, pickles.RULES)
        pair = isinstance(content, tuple | list) and len(content) == 2
        names, arguments = content if pair else (None, None)
    if not (isinstance(names, list) and isinstance(arguments, list) and len(names) == len(arguments)):
        raise DataError(f"{path} holds no rules of nnU-Net's post-processing.", "Give a postprocessing.json.")
    for name in names:
        if name != _FUNCTION.__name__:
            raise DataError(f"{path} asks for {name!r}, which is not known here.", f"Known is {_FUNCTION.__name__}.")
    return [_rule(path, one) for one in arguments]


def _rule(path: Path, arguments: Any) -> Rule:
    try:
        labels = _flat(arguments["labels_or_regions"])
        unknown = set(arguments) - {"labels_or_regions", "background_label"}
        if unknown or not labels:
            raise ValueError(f"{unknown or 'no labels'}")
        return Rule(tuple(labels), int(arguments.get("background_label", 0)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: {arguments!r} is no rule: {error}.", "Each has labels_or_regions.") from error


def _flat(labels: Any) -> list[int]:
    """A label, a region or a list of both as the labels that they have in all: nnU-Net takes their union."""
    if isinstance(labels, list | tuple):
        return list(dict.fromkeys(label for part in labels for label in _flat(part)))
    if isinstance(labels, bool) or int(labels) != labels:
        raise ValueError(f"{labels!r} is no label")
    return [int(labels)]


def write_rules(folder: Path, rules: Sequence[Rule], more: Mapping[str, Any]) -> Path:
    """Write postprocessing.json (with what else is to be in it), and nnU-Net's pickle for its own command."""
    names, arguments = [_FUNCTION.__name__] * len(rules), [rule.arguments() for rule in rules]
    path = folder / "postprocessing.json"
    write_json(path, {**more, "postprocessing_fns": names, "postprocessing_kwargs": arguments})
    with replacing(folder / "postprocessing.pkl") as temporary:
        temporary.write_bytes(pickle.dumps(([_FUNCTION] * len(rules), arguments)))
    return path


def postprocess(folder: Path, rules_file: Path, output: Path, on_case: batches.OnCase | None = None) -> list[Path]:
    """Apply the rules of a file to every label map of a folder; return the files in `output`.

    How they are read is said by plans.json and dataset.json in the folder, as `predict` leaves them, else beside the
    rules. Raises ConfigError when both folders are one, DataError when there is nothing to read or the rules are none,
    and BatchError at the end when single cases failed.
    """
    folder, rules_file, output = Path(folder), Path(rules_file), Path(output)
    rules = read_rules(rules_file)
    if output.resolve() == folder.resolve():
        raise ConfigError(f"{folder} cannot be input and output.", "Give another --output.")
    here = all((folder / name).is_file() for name in ("plans.json", "dataset.json"))
    files = LabelFiles.of(folder if here else rules_file.parent)
    return process(files.cases(folder), folder, rules, output, files, on_case)


def process(
    cases: Sequence[str],
    folder: Path,
    rules: Sequence[Rule],
    output: Path,
    files: LabelFiles,
    on_case: batches.OnCase | None = None,
) -> list[Path]:
    """Apply rules to these cases of a folder; `postprocess` says the rest."""
    if not cases:
        raise DataError(f"{folder} has no label maps (*{files.ending}).", "Predict first.")
    write_json(output / "dataset.json", files.dataset)
    write_json(output / "plans.json", files.plans.plans)

    def one(case: str) -> Path:
        target = output / f"{case}{files.ending}"
        label_map, properties = files.reader.read_seg(str(folder / target.name))
        with replacing(target) as temporary:
            files.reader.write_seg(apply(rules, label_map[0]), str(temporary), properties)
        return target

    written, failures = batches.attempt(cases, one, on_case, batches.threads())
    if failures:
        raise batches.BatchError(list(written.values()), failures, "label maps were written")
    return list(written.values())


def describe(rules: Sequence[Rule], files: LabelFiles | None = None) -> str:
    """Rules in one line, for people; with the names that `files` gives the labels."""

    def name(labels: tuple[int, ...]) -> str:
        if files is None:
            return " + ".join(map(str, labels))
        region = files.name(labels)
        return " + ".join(map(files.name, labels)) if region == str(labels) else region

    listed = ", then of ".join(name(rule.labels) for rule in rules)
    return f"largest component of {listed}" if rules else "none helps"
