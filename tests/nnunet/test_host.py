import os
import threading

import pytest

from medmamba.errors import DataError, SetupError
from medmamba.nnunet import host


def test_muted_is_for_one_thread(capsys: pytest.CaptureFixture[str]) -> None:
    with host.muted():
        print("from nnU-Net")
        other = threading.Thread(target=print, args=("from a display",))
        other.start()
        other.join()
    print("afterwards")
    assert capsys.readouterr().out == "from a display\nafterwards\n"


def test_variables_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDMAMBA_TEST_A", "1")
    with host.variables(MEDMAMBA_TEST_A=None, MEDMAMBA_TEST_B="2"):
        assert "MEDMAMBA_TEST_A" not in os.environ
        assert os.environ["MEDMAMBA_TEST_B"] == "2"
    assert os.environ["MEDMAMBA_TEST_A"] == "1"
    assert "MEDMAMBA_TEST_B" not in os.environ


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("nnUNet_raw", raising=False)
    with pytest.raises(SetupError, match="nnUNet_raw is not set"):
        host.folder("nnUNet_raw")


def test_an_unknown_dataset_number_says_where_it_looked(
    tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    with pytest.raises(DataError, match=f"No dataset goes with dataset number 999.*{tmp_path}"):
        host.dataset_name(999)
