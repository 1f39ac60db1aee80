"""Documents for other programs: JSON, or YAML where a platform wants that."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import SetupError
from ..files import replacing


def write_document(file: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping of plain values, as YAML where the file ends in .yaml. SetupError where that fails.

    It appears as a whole, unless the platform mounts the very file, whose place no other one can take.
    """
    if file.suffix == ".yaml":
        text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    else:
        text = json.dumps(content, indent=2) + "\n"
    try:
        try:
            with replacing(file) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError:
            if not file.is_file():
                raise
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"Nothing in {file.parent} can be written to.", "Mount a folder of this user.") from error
