"""Sizes of memory as people write and read them."""

import pytest

from medmamba.errors import ConfigError
from medmamba.predict.sizes import in_words, parse_size, resident_memory

GB = 2**30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6G", 6 * GB),
        ("1.5 gb", 3 * GB // 2),
        ("800M", 800 * 2**20),
        ("2GiB", 2 * GB),
        ("4194304", 4 * 2**20),
        (123, 123),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "six", "6X", "-1G", "0G", "G", "6"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        parse_size(text)


def test_sizes_for_people() -> None:
    assert (in_words(3 * GB // 2), in_words(800 * 2**20)) == ("1.5 GB", "800 MB")


def test_what_this_process_holds() -> None:
    before = resident_memory()
    block = bytearray(b"x") * 2**26
    assert before == 0 or resident_memory() - before > 0.9 * len(block)
