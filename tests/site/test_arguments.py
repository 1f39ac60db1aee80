from pathlib import Path
from typing import Any

import pytest

from medmamba.site.arguments import Options, parse


def test_arguments_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse([]) == Options(given=("run",))
    monkeypatch.setenv("MEDMAMBA_SITE_MAX_RAM", "8G")
    monkeypatch.setenv("MEDMAMBA_SITE_FAST", "0")
    monkeypatch.setenv("MEDMAMBA_SITE_RESUME", "1")
    monkeypatch.setenv("MEDMAMBA_SITE_VERB", "check")
    monkeypatch.setenv("MEDMAMBA_SITE_SOCKET", "T1=a,T2=b")
    found = parse([])
    assert (found.max_ram, found.fast, found.resume, found.verb) == ("8G", False, True, "check")
    assert found.sockets == {"T1": "a", "T2": "b"}
    found = parse(["infer", "--max-ram", "9G", "--bundle=/b", "--socket", "FLAIR=c"])
    assert (found.max_ram, found.bundle, found.verb, found.sockets["FLAIR"]) == ("9G", Path("/b"), "infer", "c")
    assert found.given == ("infer", "--max-ram", "--bundle", "--socket")


def test_the_words_of_an_mlcube() -> None:
    found = parse(["infer", "--data_path=/d", "--output_path=/o", "--weights=/w", "--parameters_file=/p"])
    assert (found.data, found.output, found.bundle, found.mlcube) == (Path("/d"), Path("/o"), Path("/w"), True)
    assert not parse(["infer", "--data=/d"]).mlcube


@pytest.mark.parametrize(
    "words", [["ZZPHIZZ"], ["--mode", "ZZPHIZZ"], ["--ZZPHIZZ"], ["--socket", "ZZPHIZZ"], ["run", "ZZPHIZZ"]]
)
def test_what_is_no_option_is_refused_and_not_repeated(words: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    told = "".join(capsys.readouterr())
    assert ended.value.code == 2 and "ZZPHIZZ" not in told and "cannot be used" in told
    with pytest.raises(SystemExit):
        parse([*words, "--debug"])
    assert ("CHANNEL=SLUG" if "--socket" in words else "ZZPHIZZ") in "".join(capsys.readouterr())


def test_what_is_recorded_holds_no_path() -> None:
    found = parse(["--site-key", "/ZZPHIZZ", "--bundle", "/ZZPHIZZ", "--input", "/ZZPHIZZ", "--root", "/ZZPHIZZ"])
    assert "ZZPHIZZ" not in str(found.as_json()) + str(found.given)
