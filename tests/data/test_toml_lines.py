import pytest

from medmamba.data.toml_lines import line_of

TEXT = '''name = "a # b"
channels = [
    "x = 1",  # [
    "y",
]
note = """
fake = 1
[fake]
"""
a.b = 3

[labels]
"two words" = 1

[[layout]]
split = "training"
where = { case = "[0-9]+" }

[[layout]]
split = "test"
[layout.select]
file = "x.csv"
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("name",), 1),
        (("channels", 1), 2),
        (("note",), 6),
        (("fake",), 1),
        (("a", "b"), 10),
        (("labels", "two words"), 13),
        (("labels", "missing"), 12),
        (("layout", 0, "where", "case"), 17),
        (("layout", 1, "split"), 20),
        (("layout", 1, "select", "file"), 22),
        (("layout", 1, "images"), 19),
        (("nothing",), 1),
    ],
)
def test_line(key: tuple[str | int, ...], line: int) -> None:
    assert line_of(TEXT, key) == line
