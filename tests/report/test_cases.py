from pathlib import Path

import numpy as np

from medmamba.report.cases import Loaded, load
from medmamba.report.find import CaseFiles, look
from medmamba.report.names import Names
from tests.report.made import SPACING, make, save


def test_all_on_one_grid(tmp_path: Path) -> None:
    make(tmp_path)
    found = load(look(tmp_path / "images", tmp_path / "pred", tmp_path / "ref").of("b"), Names())
    assert isinstance(found, Loaded) and found.sentences == () and found.size == (24, 20, 16)
    assert len(found.images) == 1 and found.truth is not None and found.truth.max() == 2


def test_what_is_missing_or_damaged_or_elsewhere_is_said(tmp_path: Path) -> None:
    make(tmp_path, ("a",))
    (tmp_path / "images" / "a_0000.nii.gz").write_text("no image")
    save(tmp_path / "pred" / "a.nii.gz", np.ones((4, 4, 4), np.uint8))
    found = load(look(tmp_path / "images", tmp_path / "pred", tmp_path / "ref").of("a"), Names())
    assert isinstance(found, Loaded) and not found.images and found.found is None
    assert "a_0000.nii.gz" in found.sentences[0] and "another grid" in found.sentences[1]
    hidden = load(look(tmp_path / "images", tmp_path / "pred", tmp_path / "ref").of("a"), Names({}))
    assert isinstance(hidden, Loaded) and "a_0000" not in " ".join(hidden.sentences)


def test_nothing_at_all_is_a_sentence() -> None:
    assert "image was not found" in str(load(CaseFiles(missing=("image",)), Names()))


def test_what_is_not_scored_is_shown_nowhere(tmp_path: Path) -> None:
    truth, predicted = np.zeros((2, 4, 4), np.uint8), np.ones((2, 4, 4), np.uint8)
    truth[0] = 9
    files = CaseFiles((), save(tmp_path / "p.nii.gz", predicted, SPACING), save(tmp_path / "r.nii.gz", truth, SPACING))
    found = load(files, Names(), (1, 2))
    assert isinstance(found, Loaded) and found.truth is not None and found.found is not None
    assert not found.truth.any() and found.found.sum() == 16
