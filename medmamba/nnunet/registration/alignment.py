"""Affine maps that bring the cases of a dataset onto one of them: found once, kept beside the preprocessed data.

`medmamba register` aligns a pair before a network sees it. In training that would take longer than the network itself,
so every case is aligned to one reference, and a pair by way of it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ...files import read_json, write_json
from ...register.affine import align
from ...register.images import Volume

FILE = "registration_affine.json"
Matrices = Mapping[str, NDArray[np.float64]]


def maps(data: Path, channel: int, cases: list[str], volume: Callable[[str], Volume]) -> Matrices:
    """Case -> the map (4, 4) from mm about the middle of the first case of all to mm about the middle of this one.

    Parameters
    ----------
    data: the folder of the preprocessed cases; beside it `registration_affine.json` keeps what was found before.
    channel: by which they are aligned. cases: the ones that are wanted.
    volume: a case's image of that channel, in mm about its middle.

    A case that was preprocessed again is aligned again.
    """
    file = data.parent / FILE
    reference = min(path.stem for path in data.glob("*.pkl"))
    head = {"data": data.name, "channel": channel, "reference": [reference, _stamp(data, reference)]}
    known = _known(file, head)
    missing = [case for case in cases if known.get(case, {}).get("stamp") != _stamp(data, case)]
    if missing:
        first = volume(reference)
        for case in missing:
            matrix = np.eye(4)
            if case != reference:
                matrix = align(first, volume(case), "affine", None, True).transform.matrix
            known[case] = {"stamp": _stamp(data, case), "matrix": matrix.tolist()}
        write_json(file, {**head, "maps": known})
    return {case: np.array(known[case]["matrix"]) for case in cases}


def _stamp(data: Path, case: str) -> int:
    return (data / f"{case}.pkl").stat().st_mtime_ns


def _known(file: Path, head: Mapping[str, Any]) -> dict[str, Any]:
    """What the file has of these maps; nothing where it is of others or cannot be read."""
    try:
        content = read_json(file)
    except DataError:
        return {}
    same = all(content.get(key) == value for key, value in head.items())
    return dict(content["maps"]) if same and isinstance(content.get("maps"), dict) else {}
