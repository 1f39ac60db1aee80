from typing import Any


def test_which_model_must_be_said(run: Any) -> None:
    result = run("predict", "--input", ".", "--output", "out", "--net", "segmamba")
    assert result.exit_code == 2
    assert "--model" in result.stderr
