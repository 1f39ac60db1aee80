"""One HTML file from the template, style and scripts, with nothing that is fetched when it is read."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).parent / "assets"
TEMPLATE = "page.html.j2"
_VIEWER = ("niivue.umd.js", "viewer.js")


def render(context: Mapping[str, Any], viewer: bool) -> str:
    """The page. `viewer`: whether the scripts of the viewer belong to it.

    Whatever the context holds is text: it is escaped, and no script but ours runs, by a policy in the page itself.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["soft"] = lambda name: Markup("_<wbr>").join(map(escape, str(name).split("_")))
    environment.filters["data"] = lambda value: Markup(as_data(value))
    scripts = [_read(name) for name in ("table.js", *(_VIEWER if viewer else ()))]
    own = {
        "style": Markup(_read("page.css")),
        "scripts": [Markup(script) for script in scripts],
        "policy": policy(scripts),
    }
    return environment.get_template(TEMPLATE).render(**own, **context)


def as_data(value: Any) -> str:
    """JSON that may stand in a script element: it cannot end it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(scripts: list[str]) -> str:
    """A content security policy: these scripts, styles of the page, and nothing from anywhere else."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    inside = "data: blob:"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src {inside}; "
        f"connect-src {inside}; font-src {inside}; worker-src blob:; base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8").strip()
