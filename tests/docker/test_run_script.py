import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docker.dockerfile import DOCKER

SCRIPT = DOCKER / "run.sh"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
HARDENED = (
    ["--rm"],
    ["--read-only"],
    ["--network", "none"],
    ["--cap-drop", "ALL"],
    ["--security-opt", "no-new-privileges"],
    ["--user", "12345:12345"],
    ["--pids-limit", "512"],
    ["--memory", "16g"],
    ["--shm-size", "64m"],
    ["--tmpfs", "/tmp:rw,exec,nosuid,nodev,size=4g,mode=1777"],
)


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    for name in ("in", "out", "bundle"):
        (tmp_path / name).mkdir()
    return [str(tmp_path / name) for name in ("in", "out", "bundle")]


def call(*words: str, engine: str = "docker", **variables: str) -> "subprocess.CompletedProcess[str]":
    """What the script would run."""
    environ = {**os.environ, "MEDMAMBA_ENGINE": engine, **variables}
    return subprocess.run([str(SCRIPT), *words], capture_output=True, text=True, env=environ)


def printed(*words: str, user: str = "12345:12345", **more: str) -> list[str]:
    done = call("--print", "--user", user, *words, **more)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


def has(command: list[str], flag: list[str]) -> bool:
    return any(command[at : at + len(flag)] == flag for at in range(len(command)))


@pytest.mark.parametrize("flag", HARDENED, ids=lambda flag: flag[0])
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_every_flag_is_there(flag: list[str], engine: str, folders: list[str]) -> None:
    command = printed(*folders, engine=engine)
    assert has(command[: command.index("medmamba:0.1.0")], flag)


def test_nothing_opens_it_again(folders: list[str]) -> None:
    text = SCRIPT.read_text()
    for word in ("--privileged", "--cap-add", "--network host", "--ipc", "--pid=", "docker.sock", "seccomp=unconfined"):
        assert word not in text
    assert not has(printed(*folders), ["--gpus", "all"])


def test_inputs_and_model_are_read_only(folders: list[str]) -> None:
    command = printed(*folders)
    volumes = [command[at + 1] for at, word in enumerate(command) if word == "--volume"]
    assert volumes == [f"{folders[0]}:/input:ro", f"{folders[1]}:/output:rw", f"{folders[2]}:/model:ro"]


@pytest.mark.parametrize(
    ("layout", "places"),
    [
        ("grand-challenge", ["/input", "/output", "/opt/ml/model"]),
        ("medperf", [f"/mlcommons/volumes/{name}" for name in ("data", "predictions", "additional_files")]),
        ("brats-mlcube", ["/mlcube_io0", "/mlcube_io2", "/mlcube_io1"]),
        ("/a:/b:/c", ["/a", "/b", "/c"]),
    ],
)
def test_layouts(layout: str, places: list[str], folders: list[str]) -> None:
    command = printed("--layout", layout, *folders)
    assert [command[at + 1].split(":")[1] for at, word in enumerate(command) if word == "--volume"] == places


def test_a_tar_is_mounted_as_a_file(folders: list[str], tmp_path: Path) -> None:
    (tmp_path / "model.tar").touch()
    command = printed(*folders[:2], str(tmp_path / "model.tar"))
    assert f"{tmp_path}/model.tar:/model/model.tar:ro" in command


def test_odd_names_are_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-in", "ö ut"):
        Path(name).mkdir()
    Path("4d1c").touch()
    Path("-m.tar").symlink_to("4d1c")  # its own name says that it is a .tar
    command = printed("-in", "ö ut/", "-m.tar")
    volumes = [command[at + 1] for at, word in enumerate(command) if word == "--volume"]
    assert volumes == [f"{tmp_path}/-in:/input:ro", f"{tmp_path}/ö ut:/output:rw", f"{tmp_path}/4d1c:/model/-m.tar:ro"]


def test_arguments_follow_the_image_as_they_are(folders: list[str]) -> None:
    command = printed("--image", "mine:1", *folders, "--", "run", "--max-ram", "8 G")
    assert command[command.index("mine:1") :] == ["mine:1", "run", "--max-ram", "8 G"]


def test_gpus_are_asked_for_as_the_engine_wants(folders: list[str]) -> None:
    assert has(printed("--gpus", "all", *folders), ["--gpus", "all"])
    assert has(printed("--gpus", "all", *folders, engine="podman"), ["--device", "nvidia.com/gpu=all"])


def test_the_engine_may_have_options(folders: list[str]) -> None:
    command = printed(*folders, engine="podman --runtime runc", MEDMAMBA_ENGINE_ARGS="--ulimit nofile=64:64")
    assert command[:4] == ["podman", "--runtime", "runc", "run"]
    assert has(command, ["--ulimit", "nofile=64:64"])


def test_podman_gives_no_folders_of_its_own(folders: list[str]) -> None:
    assert "--read-only-tmpfs=false" in printed(*folders, engine="podman")
    assert "--read-only-tmpfs=false" not in printed(*folders)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["IN"], "Give IN OUT [BUNDLE]"),
        (["IN", "nowhere"], "There is no nowhere"),
        (["--nothing", "IN", "OUT"], "There is no option --nothing"),
        (["--layout", "moon", "IN", "OUT"], "There is no layout moon"),
        (["--memory"], "--memory needs a value"),
        (["IN", "IN"], "are one folder"),
        (["IN", "FILE"], "is no folder"),
        (["IN", "LINK"], "cannot be mounted"),
    ],
)
def test_what_cannot_be_run_is_told(words: list[str], told: str, folders: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "a:b").mkdir()
    (tmp_path / "link").symlink_to("a:b")
    places = {"IN": folders[0], "OUT": folders[1]} | {name.upper(): str(tmp_path / name) for name in ("file", "link")}
    done = call("--print", *(places.get(word, word) for word in words))
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root has to be kept from being root")
def test_root_does_not_run_it_as_root(folders: list[str]) -> None:
    assert "belongs to root" in call("--print", *folders).stderr
    os.chown(folders[1], 23456, 23456)
    done = call("--print", *folders)
    assert has(shlex.split(done.stdout), ["--user", "23456:23456"])


def test_a_colon_cannot_be_mounted(folders: list[str], tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    assert "A colon in" in call("--print", str(tmp_path / "a:b"), folders[1]).stderr


def test_the_help_is_the_head_of_the_script() -> None:
    done = call("--help")
    assert done.returncode == 0
    assert "--layout PLATFORM" in done.stdout and "set -euo" not in done.stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    done = subprocess.run(["shellcheck", str(SCRIPT)], capture_output=True, text=True)
    assert done.stdout == ""
