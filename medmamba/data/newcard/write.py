"""A dataset card written by looking at a folder. What is guessed is marked so."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import ConfigError, DataError
from ...files import read_json, replacing
from ..cards import cards, read_card
from ..find import on_disk
from ..folders import Folders
from ..prepare.files import expression, files_below
from ..prepare.pictures import is_picture
from .content import Looks, label_values, look, seen_above
from .layout import Guess, guess, guess_images

_LOOKED_AT = 20
"""Files that are opened; of labels all are, up to ten times as many."""
_FIRST_NUMBER = 800
_WITHOUT_MARK = {"name", "id", "id_origin", "task", "title", "file_ending", "reader"}


def write_card(
    source: Path,
    folders: Folders,
    name: str | None = None,
    out: Path | None = None,
    number: int | None = None,
    images_only: bool = False,
) -> Path:
    """Write the card of the dataset in a folder and return its file, `out` or ./NAME.toml.

    It knows nnU-Net's raw layout, the Decathlon's, a folder a case, and images and labels in twin folders, volumes or
    2-D pictures. `images_only`: volumes without labels, to train a registration network on; nnU-Net wants a label map
    beside each image, so what is brighter than the background becomes the label "seen", which nothing is trained for.

    DataError when the folder holds no images, or none with labels where they are needed, or the card's file is there
    already; ConfigError when the file's name and the dataset's differ.
    """
    source = source.expanduser().absolute()
    if not source.is_dir():
        raise DataError(f"{source} is no folder.", "Give --from the folder with images and labels.")
    name = name or (out.stem if out else _name(source.name))
    out = out or Path(f"{name}.toml")
    if out.stem != name or out.suffix != ".toml":
        raise ConfigError(f"{out} is no place for the card {name}.", f"Call it {name}.toml.")
    if out.exists():
        raise DataError(f"{out} is there already.", "Remove it or choose another --name or --out.")
    draft = _images_alone(source) if images_only else _draft(source)
    with replacing(out) as temporary:
        temporary.write_text(_text(name, number or _free_number(source.name, folders), draft), encoding="utf-8")
        read_card(temporary)
    return out


def _name(folder: str) -> str:
    """A folder's name without nnU-Net's or the Decathlon's number, in letters that a dataset's name may have."""
    bare = re.sub(r"^(Dataset\d{3}|Task\d{2,3})_", "", folder)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", bare).strip("-") or "Dataset"


def _free_number(folder: str, folders: Folders) -> int:
    taken = {card.id for card in cards().values()} | set(on_disk(folders))
    own = re.match(r"Dataset(\d{3})_", folder)
    wanted = [int(own[1])] if own and int(own[1]) else []
    return next(number for number in (*wanted, *range(_FIRST_NUMBER, 1000), *range(100, 1000)) if number not in taken)


@dataclass
class _Draft:
    """What the card will say."""

    guess: Guess
    looks: Looks
    channels: list[str]
    labels: dict[str, int]
    label_kind: str
    raw_labels: dict[str, int] = field(default_factory=dict)
    regions: dict[str, list[int]] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    threshold: float = 0
    pairs: dict[str, Any] = field(default_factory=dict)
    training: int = 1
    test: int = 0
    extra: dict[str, str] = field(default_factory=dict)
    """licence, reference and reader where the folder's dataset.json has them."""


def _draft(source: Path) -> _Draft:
    files, said = files_below(source), _said(source)
    found = _nnunet_raw(files, said) or guess(files)
    where = (("case", found.where),) if found.where else ()
    paths = [_matching(pattern, files, source, where) for pattern in found.images]
    labels = _matching(found.label, files, source)
    looks = look(paths[0][:_LOOKED_AT])
    draft = _Draft(found, looks, _channels(found, looks, said), {"background": 0}, "map")
    if found.masks:
        rule = expression(found.label)
        names = {hit["label"] for file in files if (hit := rule.fullmatch(file))}
        draft.label_kind = "masks"
        draft.labels |= {label: value for value, label in enumerate(sorted(names), start=1)}
    else:
        _set_labels(draft, labels[: 10 * _LOOKED_AT], said)
    return _counted(draft, files, source, said)


def _images_alone(source: Path) -> _Draft:
    files, said = files_below(source), _said(source)
    found = guess_images(files)
    paths = _matching(found.images[0], files, source)[:_LOOKED_AT]
    looks = look(paths)
    if looks.flat or looks.is_4d:
        raise DataError(f"{paths[0]} is no 3-D volume.", "Registration is trained on volumes, one file a channel.")
    labels = {"background": 0, "seen": 1}
    draft = _Draft(found, looks, _channels(found, looks, said), labels, "binary", threshold=seen_above(paths))
    draft.pairs = {"rule": "consecutive" if len(found.images) == 1 else "channels", "ignore_labels": ["seen"]}
    return _counted(draft, files, source, said)


def _said(source: Path) -> dict[str, Any]:
    return read_json(source / "dataset.json") if (source / "dataset.json").is_file() else {}


def _counted(draft: _Draft, files: list[str], source: Path, said: Mapping[str, Any]) -> _Draft:
    tests = draft.guess.test_images
    draft.training = max(draft.guess.cases, 1)
    draft.test = len(_matching(tests[0], files, source)) if tests else 0
    draft.extra = {key: str(said[key]) for key in ("licence", "license", "reference") if said.get(key)}
    draft.extra |= {"reader": reader} if (reader := said.get("overwrite_image_reader_writer")) else {}
    return draft


def _nnunet_raw(files: list[str], said: Mapping[str, Any]) -> Guess | None:
    """The patterns of nnU-Net's raw layout, where dataset.json speaks of it."""
    if not {"channel_names", "file_ending"} <= set(said):
        return None
    ending = said["file_ending"]
    count = 1 if ending in (".png", ".bmp", ".tif") else len(said["channel_names"])
    images, tests = (
        tuple(f"{folder}/{{case}}_{channel:04d}{ending}" for channel in range(count))
        for folder in ("imagesTr", "imagesTs")
    )
    rule = expression(f"labelsTr/{{case}}{ending}")
    cases = sum(bool(rule.fullmatch(file)) for file in files)
    has_test = any(expression(tests[0]).fullmatch(file) for file in files)
    test_label = f"labelsTs/{{case}}{ending}" if any(file.startswith("labelsTs/") for file in files) else ""
    label = f"labelsTr/{{case}}{ending}"
    return (
        Guess(images, label, tests if has_test else (), test_label if has_test else "", cases=cases) if cases else None
    )


def _matching(pattern: str, files: list[str], source: Path, where: tuple[tuple[str, str], ...] = ()) -> list[Path]:
    rule = expression(pattern, where)
    return [source / file for file in files if rule.fullmatch(file)]


def _channels(found: Guess, looks: Looks, said: Mapping[str, Any]) -> list[str]:
    if found.clip:
        return ["rgb_to_0_1"] * 3
    names = said.get("channel_names") or said.get("modality")
    count = len(found.images) if len(found.images) > 1 else looks.channels
    if isinstance(names, dict) and len(names) == count:
        return [str(names[key]) for key in sorted(names, key=int)]
    if looks.flat:
        return ["R", "G", "B"] if looks.channels == 3 else ["grey"]
    if count == 1:
        return ["CT" if looks.is_ct else "image"]
    if len(found.images) == 1:
        return [f"channel{place}" for place in range(count)]
    stems = (PurePosixPath(pattern).name.split(".")[0].replace("{case}", "") for pattern in found.images)
    return [stem.strip("_-") or f"channel{place}" for place, stem in enumerate(stems)]


def _set_labels(draft: _Draft, paths: list[Path], said: Mapping[str, Any]) -> None:
    """Names from dataset.json where it has them, else label1, label2 ...; codes from the files."""
    lossy = any(path.suffix.lower() in (".jpg", ".jpeg") for path in paths)
    values = [] if lossy else label_values(paths)
    if lossy or (all(map(is_picture, paths)) and values in ([0, 255], [255])):
        draft.label_kind, draft.threshold = "binary", 127 if lossy else 0
        draft.labels, draft.raw_labels = {"background": 0, "object": 1}, {"background": 0, "object": 255}
        return
    named = _named(said)
    if any(isinstance(value, list) for value in named.values()) and said.get("regions_class_order"):
        lists = {name: value if isinstance(value, list) else [value] for name, value in named.items()}
        draft.regions = {name: list(map(int, value)) for name, value in lists.items() if value not in ([0], [])}
        draft.order = [int(value) for value in said["regions_class_order"]]
        draft.labels |= {f"label{value}": value for value in sorted(set(draft.order))}
        return
    by_value = {int(value): name for name, value in named.items() if not isinstance(value, list)}
    known = sorted({0, *values, *by_value})
    names = ["background", *(by_value.get(value, f"label{value}") for value in known if value)]
    draft.labels = {name: place for place, name in enumerate(names)}
    if known != list(range(len(known))):
        draft.raw_labels = dict(zip(names, [0, *(value for value in known if value)], strict=True))


def _named(said: Mapping[str, Any]) -> dict[str, Any]:
    """Label name -> value of a dataset.json, whichever way round it has them."""
    labels = said.get("labels")
    if not isinstance(labels, dict):
        return {}
    if all(str(key).isdigit() for key in labels):
        return {str(name): int(value) for value, name in labels.items()}
    return labels


def _text(name: str, number: int, draft: _Draft) -> str:
    """The card's TOML; JSON writes strings and lists as TOML does."""
    flat = draft.looks.flat and not draft.guess.clip
    labels = ", ".join(key for key in draft.labels if key != "background")
    about = "images without labels" if draft.pairs else labels
    top: dict[str, Any] = {
        "name": name,
        "id": number,
        "id_origin": "medmamba",
        **({"task": "registration"} if draft.pairs else {"task": "video segmentation"} if draft.guess.clip else {}),
        "title": f"{name}: {about}"[:100],
        "home": draft.extra.get("reference", "unknown"),
        "licence": draft.extra.get("licence", draft.extra.get("license", "unknown")),
        "access": "a folder on this machine",
        "file_ending": ".png" if flat else ".nii.gz",
        "channels": draft.channels,
    }
    top |= {"reader": draft.extra["reader"]} if "reader" in draft.extra else {}
    top |= {"regions_class_order": draft.order} if draft.order else {}
    top |= {"spacing": list(draft.looks.spacing)} if draft.looks.spacing else {}
    top |= {"shape": list(draft.looks.shape)}
    top["traps"] = ["Guessed from the files' names and contents: confirm channels, label values and their meaning."]
    if draft.pairs:
        top["traps"] = [
            "There are no labels: `seen` is what is brighter than the threshold. Train with --preset unlabelled."
        ]
    marks = [*(key for key in top if key not in _WITHOUT_MARK)]
    marks += ["labels", "cases", "layout", *(key for key in ("raw_labels", "regions", "pairs") if getattr(draft, key))]
    tables: dict[str, Mapping[str, Any]] = {
        "labels": draft.labels,
        "raw_labels": draft.raw_labels,
        "regions": draft.regions,
    }
    tables["cases"] = {"training": draft.training, **({"test": draft.test} if draft.test else {})}
    lines = ["# Written by `medmamba datasets new`. Every mark below says unverified: change it when you have checked."]
    lines += _lines(top)
    for title, content in tables.items():
        lines += ["", f"[{title}]", *_lines(content)] if content else []
    for layout in _layouts(draft):
        lines += ["", "[[layout]]", *_lines(layout)]
    lines += ["", "[pairs]", *_lines(draft.pairs)] if draft.pairs else []
    return "\n".join([*lines, "", "[sure]", *_lines(dict.fromkeys(marks, "unverified"))]) + "\n"


def _layouts(draft: _Draft) -> list[dict[str, Any]]:
    looks = draft.looks
    kind = ("rgb" if looks.channels == 3 else "grey") if looks.flat else "time" if looks.is_4d else "volume"
    kind = "clip" if draft.guess.clip else kind
    shared: dict[str, Any] = {"kind": kind} if kind != "volume" else {}
    shared |= {"intensity": "percentile"} if looks.wide and not draft.guess.clip else {}
    labelled: dict[str, Any] = {"label_kind": draft.label_kind} if draft.label_kind != "map" else {}
    labelled |= {"threshold": draft.threshold} if draft.threshold else {}
    training = {"split": "training", "images": list(draft.guess.images), "label": draft.guess.label} | shared | labelled
    training |= {"where": {"case": draft.guess.where}} if draft.guess.where else {}
    test = {"split": "test", "images": list(draft.guess.test_images), **shared}
    test |= {"label": draft.guess.test_label, **labelled} if draft.guess.test_label else {}
    return [training, test] if draft.guess.test_images else [training]


def _lines(content: Mapping[str, Any]) -> list[str]:
    def key(text: str) -> str:
        return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text)

    def plain(value: Any) -> str:
        return f"{{ {', '.join(_lines(value))} }}" if isinstance(value, dict) else json.dumps(value)

    return [f"{key(name)} = {plain(value)}" for name, value in content.items()]
