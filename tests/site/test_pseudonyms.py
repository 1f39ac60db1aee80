from pathlib import Path

import pytest

from medmamba.errors import ConfigError
from medmamba.site.pseudonyms import Pseudonyms, write_private_list


def test_a_key_gives_the_same_name_in_every_run(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef\n")
    names = [Pseudonyms.of(key), Pseudonyms.of(key), Pseudonyms(), Pseudonyms()]
    told = [one.of_case("ZZPHIZZ") for one in names]
    assert told[0] == told[1] and len(set(told)) == 3 and {len(one) for one in told} == {12}
    assert names[0].of_case("a") != names[0].of_case("b") and names[0].lasting and not names[2].lasting


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"0123456789abcde")
    for file in (tmp_path / "short", tmp_path / "missing"):
        with pytest.raises(ConfigError, match="site key"):
            Pseudonyms.of(file)


def test_the_inputs_digest_tells_content_and_not_names(tmp_path: Path) -> None:
    names = Pseudonyms(b"k" * 16)
    for name, text in {"a": "one", "b": "two", "c": "one"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "slice").write_text("two")
    a, b, c, series = (tmp_path / name for name in ("a", "b", "c", "series"))
    assert names.of_files([a, b]) == names.of_files([b, c]) == names.of_files([series, a])
    assert len({names.of_files(given) for given in ([a], [a, c], [b], [a, tmp_path / "missing"])}) == 4
    assert Pseudonyms(b"l" * 16).of_files([a]) != names.of_files([a])


def test_the_private_list_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "private" / "cases.csv"
    write_private_list(file, {"0b": 'a "quoted", name', "0a": "plain"})
    assert file.read_text().splitlines() == ["pseudonym,case", "0a,plain", '0b,"a ""quoted"", name"']
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
