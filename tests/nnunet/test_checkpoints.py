from pathlib import Path

import numpy as np
import pytest
import torch

from medmamba.errors import DataError
from medmamba.nnunet import checkpoints


def write(path: Path, epoch: int) -> None:
    content = {"network_weights": {}, "current_epoch": epoch, "logging": [np.float32(1), np.float64(2), 3.0]}
    torch.save(content, path)


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("code ran",)


def test_numpy_scalars_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.pth", 3)
    assert checkpoints.read(tmp_path / "a.pth")["logging"] == [1, 2, 3]


def test_code_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"network_weights": Trap()}, tmp_path / "a.pth")
    with pytest.raises(DataError, match=r"a\.pth cannot be read.*holds more than weights") as caught:
        checkpoints.read(tmp_path / "a.pth")
    assert "code ran" not in capsys.readouterr().out
    assert "weights_only" not in str(caught.value)


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no checkpoint"):
        checkpoints.read(tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="cannot be read"):
        checkpoints.read(tmp_path / "a.pth")
    for damaged in (b"hello world", b"", bytes(99), b"\x80\x02R.", b"\x80\x02h\x07.", b"\x80\x02X\x01\0\0\0\xff."):
        (tmp_path / "a.pth").write_bytes(damaged)
        with pytest.raises(DataError, match="cannot be read"):
            checkpoints.read(tmp_path / "a.pth")
    torch.save({"other": 1}, tmp_path / "a.pth")
    with pytest.raises(DataError, match="holds no nnU-Net checkpoint"):
        checkpoints.read(tmp_path / "a.pth")


def test_newest_is_the_readable_one_with_most_epochs(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    write(tmp_path / checkpoints.BEST, 4)
    write(tmp_path / checkpoints.LATEST, 2)
    (tmp_path / checkpoints.FINAL).write_bytes(b"")
    assert checkpoints.newest(tmp_path) == tmp_path / checkpoints.BEST


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / checkpoints.BEST, 2)
    torch.save({"network_weights": {"w": torch.ones(1000)}, "current_epoch": 4}, tmp_path / checkpoints.LATEST)
    assert checkpoints.newest(tmp_path) == tmp_path / checkpoints.LATEST
    content = bytearray((tmp_path / checkpoints.LATEST).read_bytes())
    content[content.find(torch.ones(8).numpy().tobytes()) + 100] ^= 1
    (tmp_path / checkpoints.LATEST).write_bytes(content)
    assert checkpoints.newest(tmp_path) == tmp_path / checkpoints.BEST
