import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from medmamba.report.page import ASSETS, as_data, policy


def test_data_cannot_end_its_script() -> None:
    value = {"name": "</script><script>alert(1)</script>&amp;<!--"}
    text = as_data(value)
    assert "<" not in text and ">" not in text and json.loads(text) == value


def test_the_policy_allows_our_scripts_and_no_network() -> None:
    digest = base64.b64encode(hashlib.sha256(b"x = 1").digest()).decode()
    text = policy(["x = 1"])
    assert f"script-src 'sha256-{digest}';" in text and "default-src 'none'" in text
    assert "http" not in text and "unsafe-eval" not in text


def test_niivue_is_what_its_note_says() -> None:
    note = (ASSETS / "NIIVUE.md").read_text()
    found = re.search(r"sha256: ([0-9a-f]{64})", note)
    assert found and hashlib.sha256((ASSETS / "niivue.umd.js").read_bytes()).hexdigest() == found[1]
    assert "version 0.69.0" in note and "BSD 2-Clause" in (ASSETS / "LICENSE.niivue.txt").read_text()


def test_no_script_can_be_taken_for_html() -> None:
    class Parts(HTMLParser):
        found = ""

        def handle_data(self, data: str) -> None:
            self.found += data

    for path in sorted(ASSETS.glob("*.js")):
        script = path.read_text(encoding="utf-8").strip()
        assert "</script" not in script.lower() and not re.search(r"<!--.*<script", script, re.DOTALL | re.IGNORECASE)
        parts = Parts()
        parts.feed(f"<script>{script}</script>")
        assert parts.found == script
