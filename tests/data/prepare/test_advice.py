from pathlib import Path

import pytest

from medmamba.data.prepare.match import match
from medmamba.errors import DataError
from tests.data.prepare.test_match import PLAIN, files, with_layouts


def test_a_folder_that_was_unpacked_too_deep_is_named(tmp_path: Path) -> None:
    files(tmp_path, "a b/ü/i/x.nii", "a b/ü/l/x.nii")
    with pytest.raises(DataError, match="holds no training case") as caught:
        match(with_layouts(PLAIN), tmp_path)
    assert f"{tmp_path / 'a b' / 'ü'} looks like the right folder" in caught.value.remedy


def test_a_raw_dataset_needs_no_preparation(tmp_path: Path) -> None:
    files(tmp_path, "imagesTr/x_0000.nii").joinpath("dataset.json").write_text('{"channel_names": {"0": "MRI"}}')
    with pytest.raises(DataError) as caught:
        match(with_layouts(PLAIN), tmp_path)
    assert "nnU-Net's raw layout already" in caught.value.remedy
