"""What the container is called with: arguments, or variables of the environment where a platform passes none."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from .events import MODES, VERBS
from .exits import ExitCode

Format = Literal["auto", "dicom-seg"]
FORMATS: tuple[Format, ...] = get_args(Format)
PREFIX = "MEDMAMBA_SITE_"
"""Before the name of an option, in capitals: its variable in the environment."""
HELP = {
    "run": "all that the inputs allow",
    "infer": "segment",
    "check": "look at bundle and inputs, write nothing",
    "prepare": "raw images and labels into checked cases under pseudonyms",
    "sanity_check": "look at prepared cases and their labels, write nothing",
    "statistics": "counts and grids of prepared cases, none of a single one",
    "evaluate": "score predictions by reference labels; aggregates only",
    "report": "a page about predictions for the site's own eyes",
    "selftest": "predict the bundle's own image and compare",
    "describe": "print this contract as JSON",
}
"""What each verb does."""
LEAST = 3
"""The smallest --min-cases: fewer say much about each of them."""


@dataclass(frozen=True)
class Options:
    """The wishes of one run."""

    verb: str = "run"
    mode: str | None = None
    root: Path = Path("/")
    """Put before every path of the container, for tests without one."""
    data: Path | None = None
    output: Path | None = None
    mlcube: bool = False
    """Whether the folders were named as MLCubes are called."""
    labels: Path | None = None
    """Of reference labels."""
    predictions: Path | None = None
    """Of label maps that are to be scored, where this run does not make them."""
    parameters_file: Path | None = None
    bundle: Path | None = None
    expect: str | None = None
    device: str = "auto"
    precision: str = "auto"
    max_ram: str | None = None
    max_vram: str | None = None
    fast: bool = False
    raw_labels: bool = False
    output_format: Format = "auto"
    dataset: str | None = None
    """Card whose labels and rules are scored, in place of the bundle's."""
    channels: tuple[str, ...] = ()
    """Of raw images, where no bundle tells them."""
    tolerance: str | None = None
    lesion_wise: bool = False
    min_cases: int = 5
    sockets: Mapping[str, str] = field(default_factory=dict)
    output_folder: str = "images/segmentation"
    site_key: Path | None = None
    private_list: bool = False
    names_in_report: bool = False
    resume: bool = False
    debug: bool = False
    given: tuple[str, ...] = ()
    """Verb and names of the arguments, without their values."""
    chosen: frozenset[str] = frozenset()
    """Fields that arguments or the environment set, which a parameters file leaves alone."""

    def at(self, path: str) -> Path:
        """A path of the container."""
        return self.root / path.lstrip("/")

    def as_json(self) -> dict[str, Any]:
        """Those that label maps depend on, and none that holds a path."""
        names = (
            "device",
            "precision",
            "max_ram",
            "max_vram",
            "fast",
            "raw_labels",
            "resume",
            "expect",
            "output_format",
        )
        return {name: getattr(self, name) for name in names}


class _Parser(argparse.ArgumentParser):
    """Does not repeat what was typed: it may be a patient's name."""

    def error(self, message: str) -> NoReturn:
        self.print_usage()
        text = f" ({message})" if "--debug" in _words(self) else ""
        self.exit(ExitCode.USAGE, f"The arguments cannot be used{text}. --help lists them, --debug tells which.\n")


def _words(parser: _Parser) -> Sequence[str]:
    return getattr(parser, "words", ())


def parse(words: Sequence[str]) -> Options:
    """The options in arguments and environment. SystemExit 2 for others, 0 after --help."""
    parser = _parser()
    parser.words = list(words)  # type: ignore[attr-defined]
    values = vars(parser.parse_args(words))
    verb, mlcube, named = values["verb"], values.pop("data_path"), values.pop("output_path")
    values["data"] = values["data"] or mlcube
    values["output"] = values["output"] or named
    values["bundle"] = values["bundle"] or values.pop("weights", None)
    values.pop("weights", None)
    values["sockets"] = dict(pair for one in values.pop("socket") for pair in one)
    typed = [word.partition("=")[0] for word in words if word.startswith("--")]
    chosen = {word[2:].replace("-", "_") for word in typed} | {name for name in values if _given(name)}
    return Options(**values, mlcube=mlcube is not None, given=(verb, *typed), chosen=frozenset(chosen))


def _parser() -> _Parser:
    parser = _Parser(
        prog="medmamba site",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,  # a line a verb
        description="Segment what a platform mounts.\n\n"
        + "\n".join(f"  {verb}: {what}" for verb, what in HELP.items()),
        epilog="Each option may come from the environment:\n"
        f"--max-ram 8G is {PREFIX}MAX_RAM=8G, --resume {PREFIX}RESUME=1.",
    )
    parser.add_argument("verb", nargs="?", choices=VERBS, default=_given("verb") or VERBS[0], metavar="VERB")
    text, path, flag = _adder(parser, str), _adder(parser, _path), _adder(parser, None)
    text("mode", "the convention; default: the first that fits", choices=MODES)
    path("root", "put before every path of the container", default=Path("/"))
    path("data", "folder of the inputs", alias="--input")
    path("output", "folder for the outputs")
    path("data_path", "the same, as MLCubes are called", alias="--data_path")
    path("output_path", "the same, as MLCubes are called", alias="--output_path")
    path("bundle", "bundle's folder or .tar; default: the first that is mounted")
    path("weights", "the same, as MLCubes are called")
    path("labels", "folder of reference labels", alias="--labels_path")
    path("predictions", "evaluate: folder of label maps made elsewhere")
    path("parameters_file", "YAML file of options; arguments and environment go before it", alias="--parameters_file")
    text("expect", "refuse a bundle with another digest: sha256:...")
    text("device", "auto, cpu, cuda, cuda:1, mps", default="auto")
    text("precision", "auto, fp32, bf16, fp16", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    text("max_ram", "memory of this process, as 6G")
    text("max_vram", "memory of the GPU")
    flag("fast", "one fold, no mirroring, longer steps")
    flag("raw_labels", "the label values of the model's own dataset")
    _adder(parser, _pairs)("socket", "grand-challenge: CHANNEL=SLUG,...; again for more", action="append", default=[])
    text("output_format", "dicom-seg: DICOM series give DICOM segmentations", default="auto", choices=FORMATS)
    text("dataset", "evaluate: labels and rules of this dataset card; default: the bundle's")
    _adder(parser, channel_names)("channels", "prepare: their names, where no bundle tells them", default=())
    text("tolerance", "evaluate: mm of the surface Dice: 2, or liver=5,spleen=3")
    flag("lesion_wise", "evaluate: also lesion by lesion")
    _adder(parser, _least)("min_cases", "fewer cases than this are told nothing of", default=5)
    text("output_folder", "grand-challenge: folder of the output's socket", default="images/segmentation")
    path("site_key", "file of a secret that keeps pseudonyms the same from run to run")
    flag("private_list", "write private/cases.csv, which leads from pseudonyms to cases")
    flag("names_in_report", "write the names of cases into run.json and report.html")
    flag("resume", "keep complete outputs of the same bundle and options; with --site-key")
    flag("debug", "tracebacks on the standard error: they name files")
    return parser


def _given(name: str) -> str | None:
    return os.environ.get(PREFIX + name.upper()) or None


def _adder(parser: argparse.ArgumentParser, kind: Any) -> Any:
    """A function that adds options of one kind, with their defaults from the environment."""

    def add(name: str, what: str, default: Any = None, alias: str | None = None, **more: Any) -> None:
        words = [f"--{name.replace('_', '-')}", *([alias] if alias else [])]
        value = _given(name)
        if kind is None:
            on = value is not None and value.lower() not in ("0", "no", "false")
            parser.add_argument(*words, action="store_true", default=on, help=what)
            return
        if value is not None:
            default = [_pairs(value)] if more.get("action") == "append" else value
        parser.add_argument(*words, type=kind, default=default, help=what, dest=name, metavar=name.upper(), **more)

    return add


def channel_names(text: str) -> tuple[str, ...]:
    """T1,T1ce -> their names. ValueError for none, or two alike."""
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ValueError("channels are names with commas between")
    return names


def _least(text: str) -> int:
    if int(text) < LEAST:
        raise argparse.ArgumentTypeError(f"at least {LEAST} cases have to stand behind a number")
    return int(text)


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the name of a path is empty")
    return Path(text)


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(left and right for left, _, right in pairs):
        raise argparse.ArgumentTypeError("a socket is CHANNEL=SLUG")
    return [(left.strip(), right.strip()) for left, _, right in pairs]
