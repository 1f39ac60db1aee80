"""What a platform's convention says: where inputs lie, how cases are found, where and how outputs are written."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError
from ..arguments import Options

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe

Pairs = Mapping[str, tuple[Path | None, Path]]
"""Case -> its label map, None where there is none, and the reference."""
Made = Mapping[str, tuple[Path, Path | None]]
"""Case -> its label map, and the reference, None where there is none."""


@dataclass(frozen=True)
class Mode(ABC):
    """One convention with the folders of this run."""

    data: Path
    """Where the inputs lie."""
    output: Path
    """The platform's folder for outputs."""

    name: ClassVar[str]
    DATA: ClassVar[str]
    """The container's folder of inputs when none is named."""
    OUTPUT: ClassVar[str]
    verbs: ClassVar[tuple[str, ...]] = ("run", "infer", "check", "selftest")
    """What can be asked for."""
    records: ClassVar[bool] = False
    """Whether run.json and log.jsonl are written beside the outputs; else the standard output is all that tells."""
    raw_labels: ClassVar[bool] = False
    """Whether label maps have the values of the dataset that the model was trained on, where the bundle knows them."""
    inputs: ClassVar[str]
    """How inputs are named, for people."""
    outputs: ClassVar[str]
    tasks: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Verb -> what it reads and writes beside the above, for people."""

    @classmethod
    def of(cls, options: Options) -> "Mode":
        """With the folders that are named, else the container's own."""
        return cls(options.data or options.at(cls.DATA), options.output or options.at(cls.OUTPUT))

    @classmethod
    @abstractmethod
    def fits(cls, options: Options) -> bool:
        """Whether this run looks like one of this platform's."""

    @abstractmethod
    def find(self, recipe: "Recipe") -> list["Case"]:
        """The cases. DataError when there is none; a case that is incomplete fails on its own when it is read."""

    @abstractmethod
    def target(self, case: str) -> Path:
        """The file that a case's label map is written to."""

    @property
    def summaries(self) -> tuple[Path, ...]:
        """What is written of all cases together once they are predicted; of an earlier run it no longer holds."""
        return ()

    def steps(self) -> tuple[str, ...]:
        """The verbs that `run` stands for with these inputs."""
        return ("infer",)

    # ---- the rest is for modes with these verbs

    @property
    def references(self) -> Path:
        """Folder of reference labels, which need not be there."""
        raise _no_task()

    @property
    def prepared(self) -> tuple[Path, Path]:
        """Folders of prepared images and of their labels."""
        raise _no_task()

    @property
    def results(self) -> Path:
        """The file of the scores."""
        raise _no_task()

    @property
    def statistics(self) -> Path:
        """The file of what is told of prepared cases."""
        raise _no_task()

    def pairs(self) -> tuple[Pairs, int]:
        """What is to be scored, and how many label maps have no reference. DataError where there is no reference."""
        raise _no_task()

    @classmethod
    def as_json(cls) -> dict[str, Any]:
        """The convention for other programs."""
        return {
            "data": cls.DATA,
            "output": cls.OUTPUT,
            "inputs": cls.inputs,
            "outputs": cls.outputs,
            "verbs": [*cls.verbs, "describe"],
            "tasks": {verb: dict(places) for verb, places in cls.tasks.items()},
            "records": ["run.json", "log.jsonl"] if cls.records else [],
            "raw_labels": cls.raw_labels,
        }


def _no_task() -> ConfigError:
    return ConfigError("This mode has no such verb.", "Try --mode native.")
