"""Which cases a fold validates on, beside nnU-Net's trainer."""

import json
from pathlib import Path
from typing import Any

import pytest
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medmamba.errors import DataError
from medmamba.nnunet import host
from medmamba.nnunet.folds import held_out
from tests.nnunet.stock_run import small_plans, stock_fold


@pytest.mark.parametrize("fold", [0, 3, 7, "all"])
def test_nnunets_split(fold: Any, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    plans = small_plans(workplace, "Dataset901_Blobs")
    with host.muted():
        _, theirs = stock_fold(plans, fold=fold).do_split()
    assert held_out.validation_cases(PlansManager(plans), "3d_fullres", fold) == sorted(theirs)


def test_what_is_not_there(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = small_plans(workplace, "Dataset901_Blobs")
    with pytest.raises(DataError, match=r"no configuration '2d'.*They have: 3d_fullres"):
        held_out.preprocessed_folder(PlansManager(plans), "2d")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    with pytest.raises(DataError, match=r"has no preprocessed cases\. Run: medmamba preprocess"):
        held_out.preprocessed_folder(PlansManager(plans), "3d_fullres")
    (tmp_path / "a.b2nd").touch()
    (tmp_path / "notes.txt").write_text(json.dumps({}))
    with pytest.raises(DataError, match="other files than preprocessed cases"):
        held_out.dataset_class(tmp_path)
