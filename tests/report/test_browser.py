"""The page in a real browser: what its scripts do, and how it looks at several widths."""

import io
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.report.made import make, scores_of_many

WORST_FIRST = ["c", "b", "a"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cases with everything but a model."""
    return make(tmp_path_factory.mktemp("browser")).report()


def one(driver: Any, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def rows(driver: Any) -> list[str]:
    """Case names of the visible rows."""
    script = "return [...document.querySelectorAll('#cases tbody tr:not([hidden]) th')].map((one) => one.textContent)"
    return driver.execute_script(script)


def complaints(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser")]


def canvas(driver: Any, case: int) -> np.ndarray:
    """Pixels of the viewer when it shows that case."""
    section = one(driver, "#viewer")
    driver.execute_script("arguments[0].scrollIntoView()", section)
    end = time.monotonic() + 60
    while (section.get_attribute("data-state"), section.get_attribute("data-shown")) != ("ready", str(case)):
        assert time.monotonic() < end and section.get_attribute("data-state") != "failed", (
            one(driver, "#viewer-problem").text or "the viewer is not ready"
        )
        time.sleep(0.1)
    time.sleep(0.5)  # a frame is drawn
    png = one(driver, "#viewer-canvas").screenshot_as_png
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_no_complaint_and_the_viewer_draws_volume_and_overlays(opened: Any, page: Path) -> None:
    driver = opened(page, 700)
    both = canvas(driver, 0)
    assert both.std() > 20
    coloured = (both.max(2) - both.min(2) > 40).sum()
    one(driver, "#viewer-prediction").click()
    outline = canvas(driver, 0)
    assert 20 < (outline.max(2) - outline.min(2) > 40).sum() < coloured
    one(driver, "#viewer-reference").click()
    plain = canvas(driver, 0)
    assert (plain != outline).any()
    choose(driver, "#viewer-case", "2")
    assert (canvas(driver, 2) != plain).any()
    choose(driver, "#viewer-planes", "1")
    coronal = canvas(driver, 2)
    slider = one(driver, ".viewer-slice[data-axis='1']")
    slider.send_keys("\ue014\ue014\ue014")  # arrow keys to the right
    assert (canvas(driver, 2) != coronal).any()
    assert complaints(driver) == []


def choose(driver: Any, selector: str, value: str) -> None:
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
    driver.execute_script(script, one(driver, selector), value)


def test_a_case_is_opened_in_the_viewer_from_its_pictures(opened: Any, page: Path) -> None:
    driver = opened(page, 700)
    driver.execute_script("arguments[0].click()", one(driver, "[data-view='1']"))
    assert canvas(driver, 1).std() > 20 and one(driver, "#viewer-case").get_attribute("value") == "1"


def test_sorting_by_click_and_by_keyboard(opened: Any, page: Path) -> None:
    driver = opened(page)
    assert rows(driver) == WORST_FIRST
    header = one(driver, "#cases th:nth-child(2)")
    assert header.get_attribute("aria-sort") == "ascending"
    driver.execute_script("arguments[0].scrollIntoView()", header)
    one(driver, "#cases th:nth-child(2) button").click()
    assert rows(driver) == WORST_FIRST[::-1] and header.get_attribute("aria-sort") == "descending"
    one(driver, "#cases th:nth-child(1) button").send_keys("\n")
    assert rows(driver) == ["a", "b", "c"] and header.get_attribute("aria-sort") == "none"
    one(driver, "#cases th:nth-child(1) button").send_keys(" ")
    assert rows(driver) == ["c", "b", "a"]


def test_filtering_and_measures(opened: Any, page: Path) -> None:
    driver = opened(page)
    one(driver, "#table-find").send_keys("B")
    assert rows(driver) == ["b"] and "1 of 3" in one(driver, "#table-status").text
    one(driver, "#table-find").clear()
    one(driver, "#table-find").send_keys("\ue003")
    choose(driver, "#table-show", "failed")
    assert rows(driver) == []
    choose(driver, "#table-show", "")
    before = one(driver, "#cases tbody td").text
    choose(driver, "#table-measure", "2")
    assert rows(driver) == WORST_FIRST and one(driver, "#table-caption").text == "HD95 in mm"
    assert one(driver, "#cases tbody td").text != before
    choose(driver, "#table-measure", "0")
    assert one(driver, "#cases tbody td").text == before  # what the script writes is what the page had


def test_outlines_can_be_hidden(opened: Any, page: Path) -> None:
    driver = opened(page)
    line = one(driver, ".panel .prediction")
    assert line.is_displayed()
    one(driver, "#outline-prediction").click()
    assert not line.is_displayed() and one(driver, ".panel .reference").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window(width: int, scheme: str, opened: Any, page: Path) -> None:
    driver = opened(page, width, scheme)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    paper = driver.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
    ink = driver.execute_script("return getComputedStyle(document.body).color")
    bright, text = (sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in (paper, ink))
    assert (bright > 200 and text < 60) if scheme == "light" else (bright < 60 and text > 200)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(scheme: str, opened: Any, page: Path) -> None:
    driver = opened(page, 1400, scheme)
    poor = driver.execute_script(_CONTRAST)
    assert poor == []


_CONTRAST = """
const light = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const poor = [];
for (const element of document.querySelectorAll("main *, header *")) {
  const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
  if (!own || element.closest(".frame, .skip, script, option, svg, noscript") || !element.offsetParent) continue;
  const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(element.outerHTML.slice(0, 90));
}
return poor;
"""


def test_many_cases_are_sorted_at_once_and_printed_whole(opened: Any, tmp_path: Path) -> None:
    from medmamba.report import write_report

    path = write_report(tmp_path / "r.html", metrics=scores_of_many(tmp_path, 500, 20))
    driver = opened(path, 400)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 400
    began = time.monotonic()
    driver.execute_script("document.querySelector('#cases th:nth-child(9) button').click()")
    assert time.monotonic() - began < 3 and len(rows(driver)) == 500
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    script = "const one = document.querySelector('.tall'); return one.scrollHeight - one.clientHeight"
    assert driver.execute_script(script) <= 1
    assert complaints(driver) == []


def test_in_print_the_viewer_is_left_out(opened: Any, page: Path) -> None:
    driver = opened(page)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not one(driver, "#viewer").is_displayed() and one(driver, ".panel svg").is_displayed()
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
