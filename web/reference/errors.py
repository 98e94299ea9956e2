"""The page of all errors, made of the one table of codes: `type` of an error leads to its place."""

import re
from collections.abc import Mapping
from html import escape
from typing import Final

from web.problems import Code

_PAGE: Final = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Errors · Hubbub API</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="/assets/docs/reference.css" />
  </head>
  <body>
    <header class="top"><h1>Errors</h1><a href="/api/docs">All calls</a></header>
    <main class="errors">
      <p>An error is <code>application/problem+json</code> (RFC 9457), and its <code>code</code> one
      of these. WebSocket <code>error</code> frames use the same codes.</p>
{errors}
    </main>
  </body>
</html>
"""
_ERROR: Final = """      <section id="{name}" class="error">
        <h2><span class="status">{status}</span> <code>{name}</code></h2>
        <p><strong>{title}.</strong> {when}</p>
      </section>"""


def render_errors(codes: Mapping[str, Code]) -> bytes:
    """Return the page, with an anchor for each code."""
    errors = "\n".join(
        _ERROR.format(
            name=escape(name),
            status=code.status,
            title=escape(code.title.rstrip(".?")),
            when=re.sub("`(.*?)`", r"<code>\1</code>", escape(code.when)),
        )
        for name, code in codes.items()
    )
    return _PAGE.format(errors=errors).encode()
