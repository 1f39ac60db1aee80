"""Grand Challenge: one case a run, whose images /input/inputs.json names by socket; .mha only in the outputs."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, DataError
from ..arguments import Options
from ..finding import canonical, visible
from .base import Mode

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe

_LIST = "inputs.json"
_MOST = 1 << 20
_REMEDY = "Name them with --socket CHANNEL=SLUG."


@dataclass(frozen=True)
class GrandChallenge(Mode):
    """An algorithm with an image socket a channel and one for the segmentation."""

    sockets: Mapping[str, str] = field(default_factory=dict)
    """Channel -> slug, where names do not tell."""
    folder: str = "images/segmentation"
    """Of the output's socket, below the output folder."""

    name = "grand-challenge"
    DATA, OUTPUT = "/input", "/output"
    inputs = "inputs.json and images/SLUG/UUID.mha, a socket a channel"
    outputs = "images/segmentation/output.mha (--output-folder)"

    @classmethod
    def of(cls, options: Options) -> "GrandChallenge":
        """With the sockets that are named."""
        folder = PurePosixPath(options.output_folder)
        if folder.is_absolute() or ".." in folder.parts:
            raise ConfigError("--output-folder leads out of the outputs.", "Give it as images/segmentation.")
        data, output = options.data or options.at(cls.DATA), options.output or options.at(cls.OUTPUT)
        return cls(data, output, options.sockets, str(folder))

    @classmethod
    def fits(cls, options: Options) -> bool:
        """By the list of inputs."""
        return ((options.data or options.at(cls.DATA)) / _LIST).is_file()

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
            if path.is_absolute() or ".." in path.parts:
                raise DataError("The sockets in inputs.json lead out of the input.", "Write it again.")
            if (self.data / path).is_dir():
                found[slug] = str(path)
        return found

    def target(self, case: str) -> Path:
        """The one file of the output's socket."""
        return self.output / self.folder / "output.mha"


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
        raise DataError("The sockets cannot be read: inputs.json is not valid JSON.", "Write it again.") from error
    if not isinstance(content, list):
        raise DataError("The sockets cannot be read: inputs.json holds no list.", "Write it again.")
    return content
