"""The import graph, read from the source: arrows run down only, and no two files import each other."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Lower may not import higher. Files directly in medmamba/ that everyone may use come first.
LAYERS = (
    {"_version", "errors", "files", "resources", "runtime", "stopping", ""},
    {"kernels"},
    {"scan"},
    {"blocks"},
    {"networks"},
    {"engine"},
    {"data", "dicom", "nnunet", "bundle", "predict", "register", "evaluate", "report"},
    {"doctor", "demo", "twins", "bench"},
    {"site"},
    {"cli"},
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}


def modules() -> dict[str, Path]:
    """Module name -> file, of the package and the command line."""
    found = {}
    for top, prefix in (("medmamba", ""), ("cli", "medmamba.")):
        for path in (ROOT / top).rglob("*.py"):
            found[prefix + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str, path: Path, everywhere: bool = True) -> Iterator[str]:
    """Absolute names of what a file imports; with `everywhere` inside functions too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    type_checks = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree) if everywhere else tree.body:
        if id(node) in type_checks:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield whole if whole in MODULES else module


def part(name: str) -> str:
    """medmamba.scan.chunked -> scan; medmamba -> ''."""
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("name", sorted(MODULES))
def test_arrows_run_down(name: str) -> None:
    ours = [other for other in imports(name, MODULES[name]) if other.split(".")[0] == "medmamba"]
    back = [other for other in ours if RANK[part(other)] > RANK[part(name)]]
    assert back == []


def test_no_circle() -> None:
    graph = {name: set(imports(name, path)) & set(MODULES) - {name} for name, path in MODULES.items()}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


def test_only_nnunet_imports_nnunet() -> None:
    users = {name for name, path in MODULES.items() if any(i.split(".")[0] == "nnunetv2" for i in imports(name, path))}
    assert {part(name) for name in users} == {"nnunet"}


def test_networks_stand_alone() -> None:
    allowed = {"medmamba", "torch", "numpy"}
    outside = {
        other.split(".")[0]
        for name, path in MODULES.items()
        if part(name) == "networks"
        for other in imports(name, path)
    }
    assert outside - set(sys.stdlib_module_names) <= allowed


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part(name) == "cli"))
def test_commands_import_lazily(name: str) -> None:
    at_once = {other.split(".")[0] for other in imports(name, MODULES[name], everywhere=False)}
    assert at_once.isdisjoint({"torch", "numpy", "rich", "SimpleITK", "nnunetv2"})
    assert {other for other in imports(name, MODULES[name], everywhere=False) if other.startswith("medmamba.")} <= {
        "medmamba.errors",
        "medmamba.runtime",
        *(module for module in MODULES if part(module) == "cli"),
    }
