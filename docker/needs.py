"""Print the requirements of a pyproject.toml, so that they make a layer of their own: needs.py FILE [EXTRA ...]."""

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def main(file: str, extras: list[str]) -> None:
    """Print those of the project and of the extras that are named."""
    project = tomllib.loads(Path(file).read_text(encoding="utf-8"))["project"]
    chosen = [project["optional-dependencies"][extra] for extra in extras]
    print("\n".join([*project["dependencies"], *(need for needs in chosen for need in needs)]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
