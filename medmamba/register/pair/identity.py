"""What a result depends on, so that one can be told from those of other images and other options."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import DataError
from .options import Inputs, Options


def identity_of(
    fixed: Path, moving: Path, inputs: Inputs, options: Options, models: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The files that go into a pair with their digests, the options, and the digests of the models, as plain values.

    Raises DataError where a file is missing or may not be read.
    """
    files = {"fixed": Path(fixed), "moving": Path(moving), **inputs.given()}
    return {
        "files": {name: {"path": str(path), "digest": digest_of(path)} for name, path in files.items()},
        "options": options.as_json(),
        "models": dict(models or {}),
    }


def is_same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two identities are of the same contents, wherever the files lie."""

    def contents(identity: Mapping[str, Any]) -> Any:
        digests = {name: file["digest"] for name, file in identity["files"].items()}
        options = {name: value for name, value in identity["options"].items() if name not in ("device", "model")}
        options.pop("auto_seg", None)
        return digests, options, identity["models"]

    try:
        return bool(contents(first) == contents(second))
    except (KeyError, TypeError, AttributeError):
        return False


def digest_of(path: Path) -> str:
    """sha256:... of a file, or of all files in the folder of a DICOM series."""
    path = Path(path).expanduser()
    whole = hashlib.sha256()
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        for inner in sorted(entry for entry in path.iterdir() if entry.is_file()):
            whole.update(digest_of(inner).encode())
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.", "Check the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return f"sha256:{whole.hexdigest()}"
