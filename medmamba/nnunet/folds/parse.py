"""Folds as people type them."""

from collections.abc import Sequence
from typing import Literal

from ...errors import ConfigError

Fold = int | Literal["all"]


def parse_folds(text: str) -> tuple[Fold, ...]:
    """`0-4`, `0,2,4`, `0-2,4` or `all` as folds, each once, in the order given. ConfigError for anything else."""
    folds: list[Fold] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if part == "all":
            folds.append("all")
        elif first.isdecimal() and (last.isdecimal() if dash else not last) and int(first) <= int(last or first):
            folds.extend(range(int(first), int(last or first) + 1))
        else:
            raise ConfigError(f"{text!r} is no list of folds.", "Use 0, 0-4, 0,2,4 or all.")
    if "all" in folds and len(set(folds)) > 1:
        raise ConfigError(f"{text!r}: fold all has every case and goes with no other.", "Use either all or 0-4.")
    return tuple(dict.fromkeys(folds))


def as_text(folds: Sequence[Fold]) -> str:
    """The shortest way to type these folds: `0-4`, `0,2,4`, `all`."""
    numbers = [fold for fold in folds if isinstance(fold, int)]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, folds))
