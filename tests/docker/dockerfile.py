"""Dockerfiles as lists of stages and instructions."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


@dataclass
class Stage:
    """One FROM and what follows."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """What stands behind each instruction of this kind."""
        return [rest for one, rest in self.instructions if one == word]

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        words = [word for line in self.all("ENV") for word in shlex.split(line)]
        return dict(word.split("=", 1) for word in words)


def stages(file: Path) -> tuple[dict[str, str], list[Stage]]:
    """(arguments before the first FROM with their defaults, stages in order)."""
    text = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        rest = " ".join(rest.split())
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        elif found:
            found[-1].instructions.append((word, rest))
        else:
            name, _, default = rest.partition("=")
            arguments[name] = default
    return arguments, found
