"""What the model server answers to somebody who opens its address in a browser."""

from __future__ import annotations

import html
from collections.abc import Mapping

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>Segment Anything: model server</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ max-width: 44rem; margin: 3rem auto; padding: 0 1rem }}
  body {{ font: 16px/1.5 system-ui, sans-serif }}
  td {{ padding-right: 1.5rem }}
  pre {{ overflow-x: auto }}
</style>
</head>
<body>
<h1>Segment Anything: model server</h1>
<table>
{rows}
</table>
<h2>Ask it</h2>
<pre>sam-vertex predict photo.jpg --point 300,200 --url {address}</pre>
<p>The request's form is in docs/serving.md; what the server offers, as OpenAPI:
<a href="openapi.json">openapi.json</a>.</p>
<ul>
<li><code>POST {predict}</code>: masks of images</li>
<li><a href="{health}"><code>GET {health}</code></a>: 200 when the model is loaded, 503 before</li>
<li><a href="/metrics"><code>GET /metrics</code></a>: counters</li>
</ul>
<p>To click at images in the browser: <code>sam-vertex annotate FOLDER --output OUT</code></p>
</body>
</html>
"""


def front_page(about: Mapping[str, str], *, address: str, predict: str, health: str) -> bytes:
    """The page, as HTML that loads nothing.

    Args:
        about: what computes here; empty while the model is loading.
        address: by which the browser has reached the server.
        predict: route of predictions.
        health: route of health checks.
    """
    cells = dict(about) or {"status": "the model is loading"}
    rows = "\n".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in cells.items()
    )
    values = {"address": address, "predict": predict, "health": health}
    return _PAGE.format(
        rows=rows, **{name: html.escape(value) for name, value in values.items()}
    ).encode()
