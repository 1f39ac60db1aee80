import numpy as np
import pytest
import SimpleITK as sitk

from medmamba.bench import labels


@pytest.fixture
def predicted(monkeypatch, tmp_path):
    """Predictions of two images of ten voxels: the second form equals the first, the third is off by one voxel."""
    calls = []

    class Predictor:
        def __init__(self, model, *, mirror, device, engine, precision):
            calls.append((engine, precision, mirror, device))
            self.precision = precision

        def segment(self, images, output):
            output.mkdir(parents=True)
            files = []
            for case in range(2):
                values = np.zeros((1, 2, 5), np.uint8)
                values[0, 0] = 1
                if self.precision == "bf16" and case == 1:
                    values[0, 0, 0] = 2
                files.append(output / f"c{case}.nii.gz")
                sitk.WriteImage(sitk.GetImageFromArray(values), str(files[-1]))
            return files

    monkeypatch.setattr(labels, "Predictor", Predictor)
    return labels.compare(tmp_path, tmp_path, mirror=False), calls


def test_shares_of_equal_voxels(predicted):
    rows, _ = predicted
    assert [row.form for row in rows] == ["torch fp32", "engine fp32", "engine bf16"]
    assert [(row.mean, row.lowest, row.foreground) for row in rows[:2]] == [(1, 1, 1)] * 2
    assert rows[2].mean == pytest.approx(0.95)
    assert rows[2].lowest == pytest.approx(0.9)
    assert rows[2].foreground == pytest.approx(0.9)
    assert rows[2].as_json()["images"] == 2


def test_every_form_is_run_once(predicted):
    _, calls = predicted
    assert calls == [(False, "fp32", False, "cpu"), (True, "fp32", False, "cpu"), (True, "bf16", False, "cpu")]
