"""What a platform's convention says: where inputs lie, how cases are found, where and how outputs are written."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..arguments import Options

if TYPE_CHECKING:
    from ...predict.files.cases import Case
    from ...predict.recipe import Recipe


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
    records: ClassVar[bool] = False
    """Whether run.json and log.jsonl are written beside the outputs; else the standard output is all that tells."""
    raw_labels: ClassVar[bool] = False
    """Whether label maps have the values of the dataset that the model was trained on, where the bundle knows them."""
    inputs: ClassVar[str]
    """How inputs are named, for people."""
    outputs: ClassVar[str]

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

    @classmethod
    def as_json(cls) -> dict[str, Any]:
        """The convention for other programs."""
        return {
            "data": cls.DATA,
            "output": cls.OUTPUT,
            "inputs": cls.inputs,
            "outputs": cls.outputs,
            "records": ["run.json", "log.jsonl"] if cls.records else [],
            "raw_labels": cls.raw_labels,
        }
