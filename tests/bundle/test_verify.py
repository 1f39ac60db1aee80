import json
import shutil
from pathlib import Path

import pytest

from medmamba.bundle import loading, verify
from medmamba.errors import BundleError
from tests.bundle.made import change, tar


def test_inspection(original: Path, tmp_path: Path) -> None:
    found = verify.inspect(original)
    assert found.card.folds == ["0", "1"]
    assert found.digest == loading.load(original).digest
    assert found.sizes == {
        file.name: file.stat().st_size for file in original.iterdir() if file.name != "MANIFEST.json"
    }
    content = json.loads(json.dumps(found.as_json()))
    assert content["bytes"] == sum(content["files"].values()) and content["labels"]["core"] == 2
    assert {**verify.inspect(tar(original, tmp_path / "a.tar")).as_json(), "path": ""} == {**content, "path": ""}


def test_inspection_does_not_read_weights_and_verification_does(bundle: Path) -> None:
    raw = (bundle / "fold_1.safetensors").read_bytes()
    (bundle / "fold_1.safetensors").write_bytes(bytes(len(raw)))
    assert verify.inspect(bundle).card.name
    with pytest.raises(BundleError, match=r"was altered: fold_1\.safetensors"):
        verify.verify(bundle)


@pytest.mark.parametrize(
    "form", [str.upper, lambda digest: digest.removeprefix("sha256:"), lambda digest: f" {digest}"]
)
def test_the_pinned_digest_as_people_type_it(form, original: Path) -> None:
    digest = verify.inspect(original).digest
    assert verify.verify(original, expect=form(digest)).as_json()["verified"]
    with pytest.raises(BundleError, match="is not the expected one"):
        verify.inspect(original, expect=form(digest[:-1] + ("0" if digest[-1] != "0" else "1")))


def test_all_folds_have_to_fit_even_those_that_are_not_used_by_default(bundle: Path) -> None:
    shutil.copy(bundle / "fold_1.safetensors", bundle / "fold_all.safetensors")
    change(bundle, "bundle.json", lambda card: card.update(folds=["0", "1", "all"]))
    assert loading.load(bundle).folds == ("0", "1")
    assert loading.load(bundle, folds=["all"]).folds == ("all",)
    assert verify.verify(bundle).inspection.card.folds == ["0", "1", "all"]
    (bundle / "fold_all.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    change(bundle, "bundle.json", lambda card: None)
    with pytest.raises(BundleError, match=r"weights of another network in fold_all\.safetensors"):
        verify.verify(bundle)
