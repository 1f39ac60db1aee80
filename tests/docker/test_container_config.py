"""MedPerf's container_config.yaml, as its runner takes it: five keys of run_args, and volumes with place and type."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from medmamba.site.events import PARAMETERS, VERBS
from medmamba.site.modes.medperf import VOLUMES, MedPerf
from medmamba.site.parameters import Parameters

FOLDER = Path(__file__).parents[2] / "docker" / "medperf"
TYPES = ("DockerImage", "DockerArchive", "SingularityFile", "EncryptedDockerArchive", "EncryptedSingularityFile")
RUN_ARGS = ("command", "entrypoint", "environment", "shm_size", "gpus")
FILES = sorted(FOLDER.rglob("*.yaml"))
CONFIGS = [file for file in FILES if file.name.startswith("container_config")]
GOOD = {
    "container_type": "DockerImage",
    "image": "medmamba:1",
    "tasks": {
        "infer": {
            "run_args": {"command": "infer", "shm_size": "1g"},
            "input_volumes": {"data_path": {"mount_path": f"{VOLUMES}/data", "type": "directory"}},
            "output_volumes": {"output_path": {"mount_path": f"{VOLUMES}/predictions", "type": "directory"}},
        }
    },
}


def faults(config: Any) -> Iterator[str]:
    """What MedPerf's runner, or this container, would not take."""
    if not isinstance(config, Mapping):
        yield "it is no mapping"
        return
    if config.get("container_type") not in TYPES:
        yield "container_type"
    if not isinstance(config.get("image"), str) or config["image"].endswith(":latest"):
        yield "image"
    tasks = config.get("tasks")
    if not isinstance(tasks, Mapping) or not tasks:
        yield "tasks"
        return
    for name, task in tasks.items():
        yield from (f"{name}: {fault}" for fault in _of_task(name, task))


def _of_task(name: str, task: Mapping[str, Any]) -> Iterator[str]:
    if other := set(task) - {"run_args", "input_volumes", "output_volumes"}:
        yield f"unknown {sorted(other)}"
    arguments = task.get("run_args") or {}
    if other := set(arguments) - set(RUN_ARGS):
        yield f"run_args {sorted(other)}"
    command = arguments.get("command", name)
    verb = command.split()[0] if isinstance(command, str) else command[0]
    if "entrypoint" not in arguments and (verb not in VERBS or verb not in MedPerf.verbs):
        yield f"the verb {verb!r}"
    for side in ("input_volumes", "output_volumes"):
        for label, volume in (task.get(side) or {}).items():
            if set(volume) != {"mount_path", "type"} or volume["type"] not in ("file", "directory"):
                yield f"{side}.{label}"
            elif not str(volume["mount_path"]).startswith(f"{VOLUMES}/"):
                yield f"{side}.{label}.mount_path"


def test_there_are_files_to_test() -> None:
    assert len(CONFIGS) == 3 and len(FILES) > 3


def test_a_good_one_has_no_fault() -> None:
    assert list(faults(GOOD)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("container_type",), "Docker"),
        (("image",), "medmamba:latest"),
        (("tasks",), {}),
        (("tasks", "infer", "run_args", "network"), "host"),
        (("tasks", "infer", "run_args", "command"), "inference"),
        (("tasks", "infer", "input_volumes", "data_path", "type"), "folder"),
        (("tasks", "infer", "input_volumes", "data_path", "mode"), "rw"),
        (("tasks", "infer", "output_volumes", "output_path", "mount_path"), "/output"),
        (("tasks", "infer", "volumes"), {}),
    ],
)
def test_each_fault_is_found(path: tuple[str, ...], value: Any) -> None:
    config: Any = deepcopy(GOOD)
    place = config
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert len(list(faults(config))) == 1


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_ours_can_be_run(file: Path) -> None:
    assert list(faults(yaml.safe_load(file.read_text()))) == []


def test_volumes_are_where_the_container_looks() -> None:
    known = " ".join(places for task in MedPerf.tasks.values() for places in task.values())
    words = {word.strip(",").rpartition("/")[2] for word in f"{known} data predictions".split()}
    for file in CONFIGS:
        for task in yaml.safe_load(file.read_text())["tasks"].values():
            for side in ("input_volumes", "output_volumes"):
                for volume in (task.get(side) or {}).values():
                    assert Path(volume["mount_path"]).name in {*words, "additional_files"}


@pytest.mark.parametrize("file", [file for file in FILES if file.name.startswith("parameters")], ids=lambda f: f.name)
def test_our_parameters_are_known(file: Path) -> None:
    found = Parameters.model_validate(yaml.safe_load(file.read_text()) or {})
    assert set(found.model_fields_set) <= set(PARAMETERS)
