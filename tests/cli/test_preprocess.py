from typing import Any


def test_a_card_without_files_says_where_they_belong(run: Any) -> None:
    result = run("preprocess", "--dataset", "Hippocampus")
    assert result.exit_code == 4
    assert "Dataset004_..." in result.stderr and "nnUNet_raw" in result.stderr
