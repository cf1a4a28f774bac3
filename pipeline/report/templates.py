"""The templates of the reports, in which every value is escaped for the format it is written to."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from serving.sam.plain_text import one_line

_FOLDER = Path(__file__).parent
_MARKDOWN_SIGNS = re.compile(r"([\\`*_~|()\[\]])")


def escape_markdown(value: Any) -> str:
    """Text that Markdown shows as it is, in one line, a table's cell included.

    Markdown takes HTML as well, so that this is escaped too. ``Markup`` stays as it is.
    """
    if isinstance(value, Markup):
        return value
    return _MARKDOWN_SIGNS.sub(r"\\\1", html.escape(one_line(str(value)), quote=False))


def duration(seconds: float) -> str:
    """A duration in the unit that suits it: ``"12.3 s"``, ``"2.5 min"`` or ``"3.0 h"``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.1f} min" if minutes < 100 else f"{hours:.1f} h"


def _environment(**options: Any) -> Environment:
    environment = Environment(  # noqa: S701  # both kinds of template escape every value
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    environment.filters["duration"] = duration
    return environment


def render_html(name: str, **values: Any) -> str:
    """A page from the template ``name`` of this package."""
    return _environment(autoescape=True).get_template(name).render(**values)


def render_markdown(name: str, **values: Any) -> str:
    """A Markdown document from the template ``name`` of this package."""
    environment = _environment(autoescape=False, finalize=escape_markdown)
    return environment.get_template(name).render(**values)
