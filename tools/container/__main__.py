"""`make container-test`: build the image, run it in every mode, shut in, and compare with the same bundle outside.

    python -m tools.container                          builds, runs everything, prints a table
    python -m tools.container --bundle model.tar       with a trained model in place of random weights
    python -m tools.container --json                   for other programs

Each option may come from the environment: --engine-args is CONTAINER_TEST_ENGINE_ARGS. Where no engine is installed it
says so; that counts as a failure, except where the variable CI is set.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

PREFIX = "CONTAINER_TEST_"
NAME = "localhost/medmamba"


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when everything is as it should be."""
    options = _parser().parse_args(arguments)
    from . import engine

    storage = Path(options.storage)
    storage.mkdir(parents=True, exist_ok=True)
    found = engine.find(options.engine, storage, options.engine_args, options.build_args)
    if isinstance(found, str):
        print(f"No container was built or run: {found}. Install docker or podman to test the image.")
        return 0 if os.environ.get("CI") else 1
    with tempfile.TemporaryDirectory(prefix="medmamba-container-") as folder:
        report = _test(found, options, Path(folder))
    print(json.dumps(report, indent=2) if options.json else table(report))
    return 0 if report["good"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.container", description=__doc__.split("\n")[0])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medmamba" / "container-test"
    data = Path(__file__).parents[3] / "shared" / "data"

    def add(name: str, what: str, default: str | None = None) -> None:
        given = os.environ.get(PREFIX + name.upper().replace("-", "_"))
        parser.add_argument(f"--{name}", help=what, default=given or default)

    add("engine", "docker or podman with options of its own; default: the first that answers")
    add("engine-args", "further options of its `run`; default: what a container needs to start here")
    add("build-args", "further options of its `build`; default: for podman, what works without a runtime")
    add("storage", "folder for podman's images, kept from test to test", str(cache))
    add("base", "image to build on; default: the Dockerfile's, else one made with debootstrap")
    add("image", "test this one, and build none")
    add("bundle", "bundle, or results folder of nnU-Net's layout, of a model with one channel; default: random weights")
    add("data", "sample data; default: ../shared/data, else volumes of noise", str(data) if data.is_dir() else None)
    add("only", "runs whose names hold this word")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return parser


def _test(engine: Any, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    from medmamba import __version__

    from . import image, models, runs
    from .driving import Driver
    from .engine import starting
    from .inputs import BRATS, Source

    source = Source(Path(options.data) if options.data else None)
    mine = options.bundle
    one = models.given(Path(mine), work / "one") if mine else models.untrained(work / "one", ("MR",))
    four = models.untrained(work / "four", BRATS)
    name = options.image or f"{NAME}:{__version__}"
    if not options.image:
        base = image.base(engine, Path(options.storage), options.base)
        engine = starting(engine, base or image.default_base())
        image.build(engine, name, base, __version__)
    engine = starting(engine, name)
    baked = f"{NAME}-with-model:{__version__}"
    image.bake(engine, baked, name, one.place, one.digest)
    driver = Driver(engine, name, baked, {1: one, 4: four}, source, work)
    confined, wrong = driver.probe(one)
    contract = driver.said(("describe",))
    chosen, left = runs.those_of(json.loads(contract)["verbs"], driver.said(("run", "--help")), source)
    outcomes = []
    for run in chosen:
        if options.only is None or options.only in run.name:
            print(f"{run.name} ...", file=sys.stderr)
            outcomes.append(driver.do(run))
    if label := _label_fault(engine, baked, one.digest):
        wrong.append(label)
    return {
        "good": not wrong and all(outcome.good for outcome in outcomes),
        "engine": " ".join(engine.command),
        "image": name,
        "megabytes": round(int(engine.inspect(name, "{{.Size}}")) / 1e6),
        "start_seconds": median(one.first_line for one in outcomes if one.first_line),
        "data": "real" if source.data else "noise",
        "confined": confined,
        "faults": wrong,
        "runs": [outcome.as_json() for outcome in outcomes],
        "left_out": left,
    }


def _label_fault(engine: Any, baked: str, digest: str) -> str | None:
    label = engine.inspect(baked, '{{index .Config.Labels "medmamba.bundle.digest"}}')
    return None if label == digest else f"the label of the model's digest is {label or 'absent'}"


def table(report: dict[str, Any]) -> str:
    """A run a line; what is wrong below it."""
    lines = [f"{'run':24}{'result':10}{'seconds':>8}{'to first line':>15}{'cases':>7}{'equal':>7}"]
    for run in report["runs"]:
        first = "" if run["first_line"] is None else f"{run['first_line']:.2f}"
        result = "good" if run["good"] else "WRONG"
        lines.append(f"{run['name']:24}{result:10}{run['seconds']:8.1f}{first:>15}{run['cases']:7}{run['equal']:7}")
        lines += [f"    {fault}" for fault in run["faults"]]
    lines += [f"left out: {text}" for text in report["left_out"]]
    confined = report["confined"]
    if confined:
        lines.append(f"confined: user {confined['user']}, writes to {' and '.join(confined['writable'])} only,")
        lines.append(f"  no rights, network {confined['interfaces']}, /dev/shm {confined['shm_mib']} MiB, no compiler")
    lines += [f"WRONG: {fault}" for fault in report["faults"]]
    lines.append(f"{report['image']}: {report['megabytes']} MB, first line after {report['start_seconds']} s")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
