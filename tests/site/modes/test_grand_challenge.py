import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk

from medmamba.site.arguments import Options
from medmamba.site.modes.grand_challenge import GrandChallenge
from tests.site.made import Container, files, image, sockets

FOUR = {"brain-t1-mri": "u1", "brain-t1ce-mri": "u2", "brain-t2-mri": "u3", "brain-flair-mri": "u4"}


def test_one_mha_a_run(mounted: Container) -> None:
    for number in range(3):
        shutil.rmtree(mounted.root / "input", ignore_errors=True)
        shutil.rmtree(mounted.root / "output", ignore_errors=True)
        sockets(mounted.root / "input", {"ct": f"uuid{number}"})
        ran = mounted("--output-folder", "images/organs")
        assert ran.code == 0, ran.err
        assert files(mounted.root / "output") == ["images/organs/output.mha"]
    assert ran.fields("mode_chosen") == [{"mode": "grand-challenge", "how": "detected"}]
    read = sitk.ReadImage(str(mounted.root / "output" / "images" / "organs" / "output.mha"))
    assert read.GetSize() == (14, 12, 10) and read.GetPixelID() == sitk.sitkUInt8
    assert read.GetOrigin() == pytest.approx((3.0, -4.0, 5.0))


def test_sockets_are_told_by_their_slugs_or_named(container: Container, brats_bundle: Path) -> None:
    shutil.copytree(brats_bundle, container.root / "model")
    sockets(container.root / "input", FOUR)
    assert container().code == 0
    mode = GrandChallenge.of(Options(root=container.root))
    told = [mode._slug(channel, 4, dict.fromkeys(FOUR, "")) for channel in ("T1", "T1ce", "T2", "FLAIR")]
    assert told == list(FOUR)
    sockets(container.root / "input", {"a": "u1", **dict(list(FOUR.items())[1:])})
    (container.root / "input" / "images" / "a" / "u1.mha").touch()
    ran = container("--socket", "T1=a")
    assert ran.code == 0, ran.err
    shutil.rmtree(container.root / "output")
    ran = container()
    assert (ran.code, ran.faults) == (3, ["sockets"]) and not (container.root / "output").exists()


@pytest.mark.parametrize(
    "content",
    ["[", "{}", "[1]", json.dumps([{"interface": {"slug": "ct", "relative_path": "../secret"}}])],
    ids=["cut", "object", "number", "outside"],
)
def test_an_input_list_that_leads_nowhere(mounted: Container, content: str) -> None:
    image(mounted.root / "secret" / "a.mha")
    (mounted.root / "input").mkdir()
    (mounted.root / "input" / "inputs.json").write_text(content)
    ran = mounted()
    assert (ran.code, ran.faults) == (3, ["sockets"])
    assert mounted("--output-folder", "../x").code == 2
