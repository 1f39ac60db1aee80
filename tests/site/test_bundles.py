import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medmamba.errors import BundleError
from medmamba.site.bundles import PLACES, bundle_in, find
from tests.bundle.made import change
from tests.site.made import Container, image


def weights(folder: Path) -> Path:
    """The largest file of a bundle."""
    return folder / "fold_0.safetensors"


def truncate(folder: Path) -> None:
    file = weights(folder)
    file.write_bytes(file.read_bytes()[:-100])


def tamper(folder: Path) -> None:
    content = bytearray(weights(folder).read_bytes())
    content[-1] ^= 1
    weights(folder).write_bytes(content)


def add(folder: Path) -> None:
    (folder / "ZZPHIZZ.txt").write_text("ZZPHIZZ")


def of_another_schema(folder: Path) -> None:
    change(folder, "bundle.json", lambda content: content.update(schema_version=99))


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (truncate, "bundle-truncated"),
        (tamper, "bundle-altered"),
        (add, "bundle-extra"),
        (of_another_schema, "bundle-refused"),
        (shutil.rmtree, "bundle-missing"),
    ],
)
def test_a_spoilt_bundle_is_refused_before_anything(mounted: Container, spoil: Callable, fault: str) -> None:
    image(mounted.root / "input" / "a_0000.nii.gz")
    spoil(mounted.root / "model")
    for verb in ("check", "selftest", "infer", "evaluate", "report", "prepare", "run"):
        ran = mounted(verb)
        assert (ran.code, ran.faults) == (5, [fault])
        assert "ZZPHIZZ" not in ran.out + ran.err and not ran.fields("cases_found")
    assert ran.err.startswith("The bundle ") or ran.err.startswith("There is no bundle")
    assert sorted(path.name for path in (mounted.root / "output").iterdir()) == ["log.jsonl"]


def test_the_digest_pins_it(mounted: Container) -> None:
    digest = mounted("selftest").fields("bundle_accepted")[0]["digest"]
    assert mounted("selftest", "--expect", digest).code == 0
    ran = mounted("selftest", "--expect", f"sha256:{'0' * 64}")
    assert (ran.code, ran.faults) == (5, ["bundle-digest"])
    assert mounted("selftest", "--expect", "sha256:1").code == 2


def test_places_are_searched_in_order(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        find(None, tmp_path)
    for place in reversed(PLACES):
        folder = tmp_path / place.lstrip("/")
        folder.mkdir(parents=True)
        (folder / "notes.txt").touch()
        assert bundle_in(folder) is None
        (folder / "inside").mkdir()
        (folder / "inside" / "MANIFEST.json").touch()
        assert find(None, tmp_path) == folder / "inside"
        assert find(tmp_path / "model.tar", tmp_path) if (tmp_path / "model.tar").exists() else True
    (tmp_path / "two").mkdir()
    for name in ("a.tar", "b.tar"):
        (tmp_path / "two" / name).touch()
    assert bundle_in(tmp_path / "two") is None and bundle_in(tmp_path / "two" / "a.tar") is not None
