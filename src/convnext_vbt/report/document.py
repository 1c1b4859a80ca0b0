"""What makes a page one self-contained file: templates, plotly.js and the policy around them."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convnext_vbt.report import payload

_FOLDERS = (Path(__file__).parent / "templates", Path(__file__).parent)
"""Where templates, scripts and the style sheet lie; those of a section by its path from here."""


def render_document(
    template: str, *, scripts: Sequence[str], data: dict[str, Any], **context: Any
) -> str:
    """The page of a template as text, its scripts, style sheet, data and plotly.js inside it.

    `template` and `scripts` are files of `templates/` or a section's, the latter one after another;
    `data` is JSON for the script; a `context` value is escaped unless it is `markup`.
    """
    source = "".join(template_text(name) for name in scripts)
    plotly, plotly_hash = _plotly()
    page: str = (
        _environment()
        .get_template(template)
        .render(
            **context,
            css=markup(template_text("report.css")),
            policy=_policy(source, plotly_hash),
            data=markup(payload.json_text(data)),
            plotly=markup(plotly),
            script=markup(source),
        )
    )
    return page


def render_fragment(template: str, context: Mapping[str, Any]) -> str:
    """A part of a page as text; a `context` value is escaped unless it is `markup`."""
    text: str = _environment().get_template(template).render(context)
    return text


def template_text(name: str) -> str:
    """A file of `templates/` or a section's."""
    found = next(path for folder in _FOLDERS if (path := folder / name).exists())
    return found.read_text(encoding="utf-8")


def markup(text: str) -> Any:
    """Text that goes into a page as it is: our own files, base64, or JSON of `json_text`."""
    import markupsafe

    return markupsafe.Markup(text)


@functools.cache  # it keeps the compiled templates
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDERS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["minus"] = _with_minus
    return environment


def _with_minus(text: str) -> str:
    """A sentence with the sign that the page's figures have; dates and names keep their hyphens."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)


@functools.cache
def _plotly() -> tuple[str, str]:
    """plotly.js, compressed, and the hash under which the page's policy lets it run."""
    import plotly.offline

    source = plotly.offline.get_plotlyjs().encode()
    return payload.packed(source), _sha256(source)


def _policy(script: str, plotly_hash: str) -> str:
    """Nothing is fetched, and no script runs but the page's own and plotly's.

    Plotly sets styles inline and makes its images from data and blob addresses.
    """
    return (
        f"default-src 'none'; script-src '{_sha256(script.encode())}' '{plotly_hash}'; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _sha256(data: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(data).digest()).decode()
