import shutil

from tests.site.made import Container, files, image


def test_predictions_alone(mounted: Container) -> None:
    volumes = mounted.root / "mlcommons" / "volumes"
    volumes.mkdir(parents=True)
    shutil.move(mounted.root / "model", volumes / "additional_files" / "weights")
    for seed, name in enumerate("abc"):
        image(volumes / "data" / name / f"{name}_ct.nii.gz", seed)
    ran = mounted()
    assert ran.code == 0, ran.err
    assert ran.fields("mode_chosen") == [{"mode": "medperf", "how": "detected"}]
    assert files(volumes / "predictions") == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
