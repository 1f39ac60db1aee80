from pathlib import Path

from medmamba.data.phantoms import write_dataset
from medmamba.evaluate.overlay import draw_overlay


def test_a_picture_comes_out(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, 900, "Phantoms", training=2, test=1)
    image, first, second = (
        "imagesTr/phantom_000_0000.nii.gz",
        "labelsTr/phantom_000.nii.gz",
        "labelsTr/phantom_001.nii.gz",
    )
    draw_overlay(folder / image, folder / first, folder / first, tmp_path / "same.png")
    draw_overlay(folder / image, folder / second, folder / first, tmp_path / "other.png", "a title")
    same, other = ((tmp_path / name).read_bytes() for name in ("same.png", "other.png"))
    assert same.startswith(b"\x89PNG") and len(same) > 20_000
    assert same != other
