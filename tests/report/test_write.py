import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medmamba.errors import ConfigError, DataError
from medmamba.report import write_report
from tests.bundle.made import results_folder
from tests.report.made import Page, labels, make, save, score, scores_of_many

CANARY = "ZZPHIZZ"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page with everything in it."""
    folder = tmp_path_factory.mktemp("full")
    made = make(folder)
    return Page(made.report(model=results_folder(folder, folds=(0,)), title="All of it"))


def test_every_element_is_closed_and_every_name_is_there_once(full: Page) -> None:
    assert full.wrong == [] and full.open == []
    names = [attributes["id"] for _, attributes in full.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in full.elements:
        for key in ("aria-labelledby", "for"):
            assert key not in attributes or attributes[key] in names
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in names


def test_nothing_is_fetched_from_anywhere(full: Page) -> None:
    for tag, attributes in full.elements:
        for key in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
            value = attributes.get(key, "")
            assert not value or value.startswith(("data:", "#")), (tag, key, value[:60])
        assert not re.search(r"url\((?!#)", attributes.get("style", ""))
    style = re.search(r"<style>(.*?)</style>", full.source, re.DOTALL)
    assert style and not re.search(r"@import|url\(", style[1])
    policy = next(one["content"] for one in full.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and not any("src" in one for one in full.all("script"))


def test_headings_captions_and_texts_in_place_of_pictures(full: Page) -> None:
    levels = [int(tag[1]) for tag, _ in full.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert full.source.count("<table") == full.source.count("<caption")
    for attributes in full.all("svg"):
        assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
    assert all(attributes.get("scope") in ("col", "row") for attributes in full.all("th"))
    assert full.all("html") == [{"lang": "en"}] and "All of it" in full.text


def test_everything_is_told(full: Page) -> None:
    for text in ("Patch size", "Digest", "Parameters", "bootstrap", "in neither", "nnunetv2", "the worst case"):
        assert text in full.text
    shown = full.data("viewer-data")
    assert len(shown["cases"]) == 3 and [one["name"] for one in shown["labels"]] == ["ball", "core"]
    outlines = {attributes["stroke"] for attributes in full.all("path") if "stroke" in attributes}
    assert outlines == {"#{:02x}{:02x}{:02x}".format(*one["rgb"]) for one in shown["labels"]}


def test_with_pseudonyms_no_real_name_or_path_is_in_the_page(tmp_path: Path) -> None:
    folder = tmp_path / CANARY
    names = [f"{CANARY}_{number}" for number in range(5)]
    made = make(folder, names)
    (folder / "images" / f"{CANARY}_0_0000.nii.gz").write_text("no image")
    (folder / "pred" / f"{CANARY}_1.nii.gz").write_text("no image")
    shutil.copy(folder / "pred" / f"{CANARY}_2.nii.gz", folder / "pred" / f"{CANARY}_surplus.nii.gz")
    save(folder / "pred" / f"{CANARY}_3.nii.gz", np.ones((3, 3, 3), np.uint8))
    score(folder)
    model = results_folder(folder / "models", folds=(0,))
    given = {name: f"p{number}" for number, name in enumerate(names[:4])}  # one has no pseudonym
    page = Page(made.report(case_names=given, model=model))
    assert CANARY not in page.source and str(tmp_path) not in page.source and "p1" in page.text
    import base64
    import gzip

    for text in re.findall(r'text/plain"[^>]*>([^<]+)<', page.source):
        assert CANARY.encode() not in gzip.decompress(base64.b64decode(text))
    for text in re.findall(r"data:image/png;base64,([^\"]+)", page.source):
        assert CANARY.encode() not in base64.b64decode(text)


def test_names_are_text_and_never_html(tmp_path: Path) -> None:
    nasty = "<img src=x onerror=alert(1)>&\"'"
    make(tmp_path, ("a",))
    file = tmp_path / "scores" / "metrics.json"
    text = file.read_text().replace('"a": {', f"{json.dumps(nasty)}: {{").replace('"ball"', json.dumps(nasty))
    file.write_text(text)
    page = Page(write_report(tmp_path / "r.html", metrics=file, predictions=tmp_path / "pred", title=nasty))
    assert not page.all("img") and nasty in page.text and page.wrong == []


def test_one_case_and_one_label(tmp_path: Path) -> None:
    page = Page(make(tmp_path, ("a",)).report())
    assert "one case, so no interval" in page.text and page.wrong == []


def test_no_case_was_scored(tmp_path: Path) -> None:
    made = make(tmp_path)
    for file in (tmp_path / "pred").iterdir():
        file.write_text("no image")
    score(tmp_path)
    page = Page(made.report())
    assert "No case could be scored" in page.text and page.text.count("a.nii.gz") >= 1 and page.wrong == []


def test_predictions_without_reference(tmp_path: Path) -> None:
    made = make(tmp_path)
    page = Page(made.report(metrics=None, references=None))
    assert "gives no scores" in page.text and page.all("image") and not page.all("table")
    assert {one["number"] for one in page.data("viewer-data")["labels"]} == {1, 2}


def test_scores_alone(tmp_path: Path) -> None:
    made = make(tmp_path)
    page = Page(made.report(images=None, predictions=None, references=None))
    assert not page.all("image") and not page.all("canvas") and page.all("table") and page.wrong == []


def test_missing_files_are_a_sentence_in_their_place(tmp_path: Path) -> None:
    made = make(tmp_path)
    (tmp_path / "images" / "c_0000.nii.gz").unlink()
    (tmp_path / "pred" / "b.nii.gz").unlink()
    page = Page(made.report())
    assert "Its image was not found." in page.text and "Its prediction was not found." in page.text


def test_flat_images(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        for place, shift in (("ref", 0), ("pred", number)):
            path = tmp_path / place / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(labels((40, 50), shift)).save(path)
        path = tmp_path / "images" / f"{name}_0000.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)).save(path)
    score(tmp_path, {"labels": {"background": 0, "ball": 1, "core": 2}, "file_ending": ".png"})
    page = Page(make_report(tmp_path))
    assert len(page.all("image")) == 2 and page.data("viewer-data")["cases"][0]["flat"] and page.wrong == []


def make_report(folder: Path) -> Path:
    places = {"images": folder / "images", "predictions": folder / "pred", "references": folder / "ref"}
    return write_report(folder / "r.html", metrics=folder / "scores", **places)


def test_500_cases_and_20_labels_stay_a_usable_page(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path / "r.html", metrics=scores_of_many(tmp_path, 500, 20)))
    assert len(page.source) < 4e6 and page.source.count("<tr data-row") == 500


def test_the_viewer_is_left_out_where_it_is_not_wanted(tmp_path: Path) -> None:
    path = make(tmp_path).report(viewer_cases=0)
    assert path.stat().st_size < 5e5 and "niivue" not in path.read_text().lower()


def test_what_cannot_be_reported_leaves_an_older_page_alone(tmp_path: Path) -> None:
    made = make(tmp_path)
    path = made.report()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="nothing to report"):
        made.report(metrics=None, predictions=None)
    with pytest.raises(DataError, match="cannot be listed"):
        made.report(images=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="names no case"):
        made.report(metrics=None, predictions=tmp_path / "empty")
    assert path.read_bytes() == before and not [one for one in os.listdir(tmp_path) if "writing" in one]
