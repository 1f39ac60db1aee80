import shutil
from pathlib import Path

from tests.site.made import Container, files, subjects


def test_called_as_an_mlcube(container: Container, brats_bundle: Path) -> None:
    root = container.root
    shutil.copytree(brats_bundle, root / "mlcube_io1" / "sub")
    names = subjects(root / "mlcube_io0", separator="_")
    folders = [f"--data_path={root}/mlcube_io0", f"--output_path={root}/mlcube_io2"]
    (root / "x.yml").write_text("fast: true\n")
    ran = container("infer", *folders, f"--weights={root}/mlcube_io1/sub", f"--parameters_file={root}/x.yml")
    assert ran.code == 0, ran.err
    assert ran.fields("mode_chosen") == [{"mode": "brats-mlcube", "how": "detected"}]
    assert files(root / "mlcube_io2") == [f"{name}.nii.gz" for name in names]
