"""Grand Challenge: one case a run, whose images /input/inputs.json names by socket; .mha only in the outputs.

The same image scores, too: where /input/predictions.json lists jobs, these are compared with the ground truth.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError, DataError
from ..arguments import Options
from ..finding import canonical, visible
from ..pairing import labels_in, stem_of
from .base import Mode, Pairs

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe

_LIST, _JOBS = "inputs.json", "predictions.json"
_TRUTH = "/opt/ml/input/data/ground_truth"
_MOST = 1 << 26
_CHANNEL = re.compile(r"_\d{4}$")
_REMEDY = "Name them with --socket CHANNEL=SLUG."


@dataclass(frozen=True)
class GrandChallenge(Mode):
    """An algorithm with an image socket a channel and one for the segmentation."""

    sockets: Mapping[str, str] = field(default_factory=dict)
    """Channel -> slug, where names do not tell."""
    folder: str = "images/segmentation"
    """Of the output's socket, below the output folder."""
    truth: Path = Path(_TRUTH)
    """Folder of the ground truth."""

    name = "grand-challenge"
    DATA, OUTPUT = "/input", "/output"
    inputs = "inputs.json and images/SLUG/UUID.mha, a socket a channel"
    outputs = "images/segmentation/output.mha (--output-folder)"
    verbs = (*Mode.verbs, "evaluate")
    tasks: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "evaluate": {
            "reads": f"/input/predictions.json, /input/PK/output/SOCKET/*.mha, {_TRUTH}/NAME-OF-THE-INPUT.mha",
            "writes": "/output/metrics.json",
        }
    }

    @classmethod
    def of(cls, options: Options) -> "GrandChallenge":
        """With the sockets that are named."""
        folder = PurePosixPath(options.output_folder)
        if folder.is_absolute() or ".." in folder.parts:
            raise ConfigError("--output-folder leads out of the outputs.", "Give it as images/segmentation.")
        data, output = options.data or options.at(cls.DATA), options.output or options.at(cls.OUTPUT)
        return cls(data, output, options.sockets, str(folder), options.labels or options.at(_TRUTH))

    @classmethod
    def fits(cls, options: Options) -> bool:
        """By the list of inputs, or of jobs."""
        data = options.data or options.at(cls.DATA)
        return any((data / name).is_file() for name in (_LIST, _JOBS))

    def find(self, recipe: "Recipe") -> list["Case"]:
        """The one case. DataError when its sockets do not lead to an image a channel."""
        from ...predict.files.cases import Case, ending_of

        folders = self._images()
        files = []
        for channel in recipe.channels:
            place = self.data / folders[self._slug(channel, len(recipe.channels), folders)]
            inside = [path for path in visible(place) if ending_of(path, recipe)]
            if len(inside) != 1:
                raise DataError(f"The sockets lead to {len(inside)} images where one is needed.", _REMEDY)
            files.append(inside[0])
        name = files[0].name.partition(".")[0]
        return [Case(name, tuple(files), "files", tuple(range(len(files))))]

    def _slug(self, channel: str, channels: int, folders: Mapping[str, str]) -> str:
        """The socket of a channel: named, the only one there is, or the one whose slug tells its name."""
        if channel in self.sockets:
            fitting = [slug for slug in folders if slug == self.sockets[channel]]
        elif channels == 1 and len(folders) == 1:
            fitting = list(folders)
        else:
            fitting = [slug for slug in folders if canonical(channel) in _told(slug)]
        if len(fitting) != 1:
            raise DataError(f"The sockets do not tell which is {channel}.", _REMEDY)
        return fitting[0]

    def _images(self) -> dict[str, str]:
        """Slug -> folder below the data, of the sockets that bring images."""
        found = {}
        for entry in _entries(self.data / _LIST):
            try:
                interface = entry["interface"]
                slug, path = str(interface["slug"]), PurePosixPath(interface["relative_path"])
            except (LookupError, TypeError) as error:
                raise DataError("The sockets in inputs.json have no slug and path.", "Write it again.") from error
            _require_inside(path)
            if (self.data / path).is_dir():
                found[slug] = str(path)
        return found

    def target(self, case: str) -> Path:
        """The one file of the output's socket."""
        return self.output / self.folder / "output.mha"

    def steps(self) -> tuple[str, ...]:
        """A list of jobs is there to be scored."""
        return ("evaluate",) if (self.data / _JOBS).is_file() else ("infer",)

    @property
    def references(self) -> Path:
        """The ground truth."""
        return self.truth

    @property
    def results(self) -> Path:
        """The file that the platform reads."""
        return self.output / "metrics.json"

    def pairs(self) -> tuple[Pairs, int]:
        """Each file of the ground truth with the output of the job whose input has its name."""
        known = labels_in(self.truth)
        if not known:
            raise DataError("There are no reference labels.", "Upload the ground truth with the phase.")
        found: dict[str, Path | None] = {}
        surplus = 0
        for job in _entries(self.data / _JOBS):
            names = [name for name in _input_names(job) if name in known]
            if not names:
                surplus += 1
                continue
            if names[0] in found:
                raise DataError("Two inputs are both cases of one name.", "Give each image of the phase its own.")
            found[names[0]] = self._output_of(job)
        return {case: (found.get(case), file) for case, file in known.items()}, surplus

    def _output_of(self, job: Any) -> Path | None:
        """The one image that a job wrote; None where it wrote none, or several that no option tells apart."""
        try:
            folders = [PurePosixPath(one["interface"]["relative_path"]) for one in job["outputs"]]
            home = PurePosixPath(str(job["pk"]))
        except (LookupError, TypeError) as error:
            raise DataError("The sockets in predictions.json have no path.", "Write it again.") from error
        wanted = [path for path in folders if str(path) == self.folder] or folders
        for path in (home, *wanted):
            _require_inside(path)
        places = [self.data / home / "output" / path for path in wanted]
        images = [file for place in places for file in labels_in(place).values()]
        return images[0] if len(images) == 1 else None


def _require_inside(path: PurePosixPath) -> None:
    if path.is_absolute() or ".." in path.parts:
        raise DataError("The sockets lead out of the input.", "Write the list again.")


def _input_names(job: Any) -> list[str]:
    """Names of the images that a job was given, without ending and channel."""
    try:
        images = [one["image"]["name"] for one in job["inputs"] if one.get("image")]
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError("The sockets in predictions.json have no images.", "Write it again.") from error
    stems = [stem_of(str(name)) or str(name) for name in images]
    return [name for stem in stems for name in dict.fromkeys((stem, _CHANNEL.sub("", stem)))]


def _told(slug: str) -> set[str]:
    """Names that a slug tells: by each of its words, and by each two that follow one another."""
    words = [word for word in re.split(r"[-_]", slug) if word]
    pairs = [left + right for left, right in pairwise(words)]
    return {canonical(one) for one in (slug, *pairs, *words)}


def _entries(file: Path) -> list[Any]:
    try:
        with file.open("rb") as stream:
            content = json.loads(stream.read(_MOST))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("The sockets cannot be read: the list is not valid JSON.", "Write it again.") from error
    if not isinstance(content, list):
        raise DataError("The sockets cannot be read: the file holds no list.", "Write it again.")
    return content
