"""Image files that look right and are not.

ITK's reader fills what a truncated file lacks, and turns NaN and infinity in NIfTI files into zero, without a word.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ..errors import DataError
from .check.file import UnusableError, readable
from .check.findings import KINDS
from .check.image import examine

_CHUNK = 2**20


def check_complete(path: Path) -> None:
    """Read a file to its end, a gzip file's checksum included.

    Raises DataError that names a file which is missing, may not be read, is truncated or damaged, or plainly is
    something else than its name says (a web page, a DICOM file, a pointer).
    """
    try:
        with readable(path) as stream:
            while stream.read(_CHUNK):
                pass
    except UnusableError as error:
        raise refusal(path, error.kind, error.text) from error


def check_image(path: Path) -> None:
    """`check_complete`, and that it can be read as an image without NaN and infinity. Raises DataError."""
    examined = examine(path, "image")
    for kind, text in examined.faults:
        if kind == "not-finite" or not (examined.usable or kind == "reader-refuses"):
            raise refusal(path, kind, text)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """While a file's content is read: whatever the reading libraries raise becomes a DataError that names the file.

    DataError and OSError come through as they are.
    """
    try:
        yield
    except UnusableError as error:
        raise refusal(path, error.kind, error.text) from error
    except MemoryError as error:
        raise refusal(path, "crash", "Needs more memory than there is.") from error
    except (DataError, OSError):
        raise
    except Exception as error:  # a broken file must fail alone, whatever the library makes of it
        raise refusal(path, "damaged", f"The reader fails with {type(error).__name__}: {error}.") from error


def refusal(path: Path, kind: str, text: str) -> DataError:
    """The DataError for a file with a finding. `kind`: a key of KINDS; `text`: what was found, a sentence."""
    title = KINDS[kind].title
    title = title[0].lower() + title[1:] if title.split()[0].istitle() else title
    return DataError(f"{path} cannot be used: {title}. {text}", KINDS[kind].remedy)


def faulty(paths: Iterable[Path], workers: int) -> list[str]:
    """The problem of every file that `check_image` refuses, in the order of `paths`."""

    def problem(path: Path) -> str:
        try:
            check_image(path)
        except DataError as error:
            return error.problem
        return ""

    with ThreadPoolExecutor(workers) as pool:  # decompression lets other threads run
        return [found for found in pool.map(problem, paths) if found]
