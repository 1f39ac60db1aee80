"""Whatever happens to a .tar on its way: it is refused, or it is the model."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medmamba.bundle.container import container
from medmamba.bundle.layout import fold_of
from medmamba.bundle.opened import opened
from medmamba.errors import BundleError
from tests.bundle.made import tar


def contents(path: Path) -> dict[str, bytes]:
    """Everything in a bundle, checked as it is when a model is loaded."""
    with opened(path) as bundle:
        for name in bundle.manifest.files:
            if fold_of(name):
                bundle.check_weights(name)
        with container(path) as files:
            return {name: files.read(name) for name in bundle.manifest.files}


@pytest.fixture(scope="session")
def archive(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tar(original, tmp_path_factory.mktemp("archives") / "good.tar")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_tar_is_refused_or_the_same(data: st.DataObject, archive: Path, tmp_path: Path) -> None:
    raw = bytearray(archive.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1) | st.integers(0, 6).map(lambda block: block * 512 + 124))
    match data.draw(st.sampled_from(["flip", "cut", "insert", "swap"])):
        case "flip":
            raw[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            del raw[place : place + data.draw(st.integers(1, 2000))]
        case "insert":
            raw[place:place] = data.draw(st.binary(min_size=1, max_size=600))
        case "swap":
            raw = raw[place:] + raw[:place]
    (tmp_path / "damaged.tar").write_bytes(raw)
    with suppress(BundleError):
        assert contents(tmp_path / "damaged.tar") == contents(archive)


def test_a_folder_and_its_tar_hold_the_same(original: Path, archive: Path) -> None:
    assert contents(original) == contents(archive)


def test_tars_of_the_usual_tool_are_taken(original: Path, archive: Path, tmp_path: Path) -> None:
    import shutil
    import subprocess

    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    subprocess.run(["tar", "-cf", tmp_path / "a.tar", "-C", original, "."], check=True)
    assert contents(tmp_path / "a.tar") == contents(archive)


def test_what_cannot_be_read_is_said(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(BundleError, match="cannot be read: Permission denied"), container(original):
        pass


def test_a_device_is_no_bundle() -> None:
    with pytest.raises(BundleError, match="neither a folder nor a file"), container(Path("/dev/null")):
        pass
