"""Label values: what they are called, and the colour that each has in pictures and viewer alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..nnunet.watching.drawing import colour
from .model import Model
from .scores import Scores

_VIEWED = 255
"""Numbers that a viewer's 8 bits hold."""


@dataclass(frozen=True)
class Label:
    """One label value."""

    value: int
    name: str
    number: int
    """In the viewer's volumes, from 1 on."""
    colour: str
    """#rrggbb."""

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as numbers, 0..255."""
        red, green, blue = (int(self.colour[place : place + 2], 16) for place in (1, 3, 5))
        return red, green, blue


@dataclass(frozen=True)
class Labels:
    """All of a page. `names`: value -> name of those that are declared; empty: any value may come, with its number."""

    names: Mapping[int, str]

    @property
    def values(self) -> tuple[int, ...]:
        """What is declared, ascending; else all that the viewer can hold."""
        return tuple(sorted(self.names)) or tuple(range(1, _VIEWED + 1))

    def of(self, value: int) -> Label:
        """A label of that value."""
        number = self.values.index(value) + 1 if value in self.values else value
        return Label(value, self.names.get(value, f"label {value}"), number, colour(number - 1))

    def shown(self, values: Iterable[int]) -> list[Label]:
        """The labels of these values, ascending."""
        return [self.of(value) for value in sorted(set(values))]


def labels_of(scores: Scores, model: Model | None) -> Labels:
    """What evaluation and model call the values. A region of several values names none of them."""
    names: dict[int, str] = {}
    values: set[int] = set()
    known: dict[str, int | tuple[int, ...]] = dict(model.labels) if model else {}
    if scores.run is not None:
        known |= {name: tuple(one["values"]) for name, one in scores.run.targets.items()}
    for name, value in known.items():
        members = (value,) if isinstance(value, int) else tuple(value)
        values |= set(members)
        if len(members) == 1:
            names[members[0]] = name
    return Labels({value: names.get(value) or _unnamed(value, known) for value in values if value})


def _unnamed(value: int, known: Mapping[str, int | tuple[int, ...]]) -> str:
    """A label that has no name of its own, with the regions that it is a part of."""
    regions = [name for name, members in known.items() if not isinstance(members, int) and value in members]
    return f"label {value} ({', '.join(regions)})" if regions else f"label {value}"
