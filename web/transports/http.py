"""aiohttp's side of a connection, where what a client got wrong is its own to know.

aiohttp answers what is no HTTP with the very bytes that it could not read, as text, and logs them
with a traceback as a fault of the server. They may be a header with a secret.
"""

import logging
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from app.errors import RequestError
from web.middlewares import count_request, respond
from web.problems import describe

log = logging.getLogger(__name__)


class HttpConnection(web.RequestHandler):
    """Reads requests and has them answered; errors of HTTP itself are problems like all others."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what cannot be read; the connection ends with it."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has been begun")
        detail = f"the request cannot be read as HTTP ({type(exc).__name__})"
        response = respond(describe(RequestError("bad_request", detail)))
        response.force_close()
        count_request("other", "unmatched", response.status)
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a fault of the server; a body that breaks off or cannot be unpacked is none."""
        if not isinstance(kw.get("exc_info"), (HttpProcessingError, web.RequestPayloadError)):
            super().log_exception(*args, **kw)
