"""The parameters file of a benchmark: YAML with some of the options, which whoever runs the benchmark hands out.

Arguments and the environment go before it. It may set what label maps and scores depend on, and nothing that decides
who gets to see what: its keys are a closed list, and any other ends the run.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..errors import ConfigError
from .arguments import LEAST, Format, Options

PLACES = (
    "/mlcommons/volumes/parameters/parameters_file.yaml",
    "/mlcommons/volumes/parameters/parameters.yaml",
)
"""Where it is looked for, in this order, when none is named."""
_MOST = 1 << 16
_REMEDY = "`describe` lists its keys."


class Parameters(BaseModel):
    """The content of a parameters file; what is absent stays as it was."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    channels: list[str] | None = Field(default=None, min_length=1, max_length=64)
    """Of raw images, where no bundle tells them."""
    dataset: str | None = None
    """Card whose labels and rules are scored."""
    device: str | None = None
    expect: str | None = None
    """Digest of the bundle: sha256:..."""
    fast: bool | None = None
    lesion_wise: bool | None = None
    max_ram: str | None = None
    max_vram: str | None = None
    min_cases: int | None = Field(default=None, ge=LEAST)
    output_format: Format | None = None
    precision: str | None = Field(default=None, pattern="^(auto|fp32|bf16|fp16)$")
    raw_labels: bool | None = None
    tolerance: str | None = None
    """mm of the surface Dice: "2", or "liver=5,spleen=3"."""

    @field_validator("tolerance", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        """YAML makes a number of 2."""
        return str(value) if type(value) in (int, float) else value


def with_parameters(options: Options) -> tuple[Options, list[str]]:
    """The options with those of the parameters file, where there is one, and the keys that it set.

    Raises ConfigError, without a word of the file's content, for one that is named and not there, that is no YAML
    mapping, or that has a key or a value which is not known.
    """
    file = options.parameters_file
    if file is None:
        file = next((path for path in map(options.at, PLACES) if path.is_file()), None)
        if file is None:
            return options, []
    given = {name: value for name, value in read(file).model_dump().items() if value is not None}
    taken = {name: value for name, value in given.items() if name not in options.chosen}
    if "channels" in taken:
        taken["channels"] = tuple(taken["channels"])
    return replace(options, **taken), sorted(taken)


def read(file: Path) -> Parameters:
    """What a parameters file says; an empty one says nothing. Raises as `with_parameters` does."""
    try:
        with file.open("rb") as stream:
            content = yaml.safe_load(stream.read(_MOST))
    except OSError as error:
        raise ConfigError("The parameters file cannot be read.", "Look whether it is mounted.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError("The parameters file is no YAML.", _REMEDY) from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError("The parameters file holds no mapping.", _REMEDY)
    try:
        return Parameters.model_validate(content or {})
    except ValidationError as error:
        raise ConfigError("The parameters file has an unknown key or value.", _REMEDY) from error
