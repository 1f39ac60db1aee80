import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from medmamba._version import __version__
from medmamba.data.cards import cards
from medmamba.site import arguments, events
from medmamba.site.bundles import PLACES
from medmamba.site.modes.grand_challenge import GrandChallenge
from medmamba.site.modes.medperf import MedPerf
from tests.docker.dockerfile import DOCKER

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIGS = sorted((DOCKER / "medperf").rglob("container_config.yaml"))
SOCKETS = tomllib.loads((DOCKER / "grand_challenge" / "sockets.toml").read_text())


def config(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def tasks(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = config(file)["tasks"]
    return found


def volumes(task: dict[str, Any]) -> list[dict[str, str]]:
    return [*task.get("input_volumes", {}).values(), *task.get("output_volumes", {}).values()]


def by_parent(file: Path) -> str:
    return file.parent.name


def test_there_is_a_container_for_each_part_of_a_benchmark() -> None:
    assert {name for file in CONFIGS for name in tasks(file)} == {
        "infer", "prepare", "sanity_check", "statistics", "evaluate",
    }  # fmt: skip


@pytest.mark.parametrize("file", CONFIGS, ids=by_parent)
def test_each_part_is_of_this_version_and_no_two_volumes_are_one(file: Path) -> None:
    assert config(file)["image"] == f"medmamba:{__version__}"
    for name, task in tasks(file).items():
        assert task["run_args"]["command"] == name and name in events.VERBS
        places = [volume["mount_path"] for volume in volumes(task)]
        assert len(set(places)) == len(places)


def test_the_model_reads_and_writes_where_the_mode_does() -> None:
    task = tasks(DOCKER / "medperf" / "container_config.yaml")["infer"]
    assert task["input_volumes"]["data_path"]["mount_path"] == MedPerf.DATA
    assert task["input_volumes"]["additional_files"]["mount_path"] in PLACES
    assert task["output_volumes"]["output_path"]["mount_path"] == MedPerf.OUTPUT


def test_the_example_names_a_dataset() -> None:
    parameters = yaml.safe_load((DOCKER / "medperf" / "parameters.yaml").read_text())
    assert parameters["dataset"] in cards()


def test_the_mlcube_is_called_as_the_container_expects() -> None:
    cube = yaml.safe_load((DOCKER / "brats" / "mlcube.yaml").read_text())
    parameters = cube["tasks"]["infer"]["parameters"]
    words = ["infer"]
    words += [f"--{name}=/{name}" for part in parameters.values() for name in part]
    options = arguments.parse(words)
    assert options.mlcube
    assert (options.data, options.output, options.bundle) == (
        Path("/data_path"), Path("/output_path"), Path("/weights"),
    )  # fmt: skip


def test_sockets_lead_to_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SOCKETS["environment"].items():
        monkeypatch.setenv(name, value)
    options = arguments.parse(["run"])
    assert options.sockets == {one["channel"]: one["slug"] for one in SOCKETS["input"]}
    (output,) = SOCKETS["output"]
    target = GrandChallenge.of(options).target("case")
    assert str(target.relative_to(GrandChallenge.OUTPUT)) == f"{output['relative_path']}/{output['file']}"
    assert SOCKETS["model"]["place"] in PLACES


def test_sockets_name_every_label_of_the_example() -> None:
    labels = cards()["Hippocampus"].labels
    segments = {one["name"]: one["value"] for one in SOCKETS["output"][0]["segments"]}
    assert segments == {name: value for name, value in labels.items() if value != 0}


def test_the_readme_has_every_exit_code() -> None:
    from medmamba.site.exits import ExitCode

    text = (DOCKER / "README.md").read_text()
    told = {int(code) for code in re.findall(r"^\| (\d) \|", text, re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}
