"""Serves the pages and the JavaScript client, from memory, under their names in `/assets/`.

The client's files are served from where they are kept for everybody: there is one source of them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from aiohttp import web

from web.problems import CODES
from web.reference.errors import render_errors

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_FOLDERS: Final = {
    "/assets/": "web.page",
    "/assets/client/": "clients.javascript",
    "/assets/docs/": "web.reference",
}
_PAGES: Final = {"/assets/index.html": "/", "/assets/docs/index.html": "/api/docs"}
_ERRORS: Final = "/api/docs/errors"

_HEADERS: Final = {
    # Asked about every time and answered with 304: a new release is seen at once.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@dataclass(frozen=True)
class Asset:
    """A file as it is served."""

    body: bytes
    content_type: str

    @cached_property
    def etag(self) -> str:
        """What names exactly these bytes."""
        return hashlib.sha256(self.body).hexdigest()[:16]

    async def serve(self, request: web.Request) -> web.Response:
        """Answer with the file, or with 304 to whoever has it."""
        headers = {**_HEADERS, "ETag": f'"{self.etag}"'}
        if any(known.value in (self.etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, headers={**headers, "Content-Type": self.content_type})


def add_routes(application: web.Application) -> None:
    """Serve the chat at `/`, the calls and their errors in `/api/docs`, and what these load."""
    for path, asset in _load():
        application.router.add_get(_PAGES.get(path, path), asset.serve)
    errors = Asset(render_errors(CODES), _TYPES[".html"])
    application.router.add_get(_ERRORS, errors.serve)


def _load() -> Iterator[tuple[str, Asset]]:
    for prefix, package in _FOLDERS.items():
        for file in resources.files(package).iterdir():
            content_type = _TYPES.get(_suffix_of(file))
            if content_type is not None:
                yield prefix + file.name, Asset(file.read_bytes(), content_type)


def _suffix_of(file: Traversable) -> str:
    return file.name[file.name.rfind(".") :]
