"""Pages of other origins: which of them a browser may let call this gateway.

Nothing here protects against who is no browser: an `Origin` is worth what a browser makes of it.
"""

from collections.abc import Collection, Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from app.errors import RequestError
from app.settings import ANY_ORIGIN

_SHARED: Final = ("/api/", "/assets/client/")
"""Where pages of allowed origins may read answers; not the metrics, nor the page."""

_EXPOSED: Final = "Allow, Retry-After, X-Cache"
_PREFLIGHT: Final = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST, PUT, PATCH, DELETE",
    # Authorization is for the proxy that checks who is asking.
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: (
        "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, traceparent, "
        "X-User-Id, X-User-Name"
    ),
    hdrs.ACCESS_CONTROL_MAX_AGE: "7200",
}


def is_welcome(headers: Mapping[str, str], allowed: Collection[str]) -> bool:
    """Whether a request comes from no page, from the gateway's own, or from an allowed origin.

    Everybody is welcome where no origins are set: then browsers alone keep other sites from
    answers.
    """
    origin = headers.get(hdrs.ORIGIN)
    if origin is None or not allowed or ANY_ORIGIN in allowed or origin in allowed:
        return True
    # Not by the scheme: TLS may end before the gateway.
    return origin.partition("://")[2] == headers.get(hdrs.HOST)


def share(application: web.Application, allowed: Collection[str]) -> None:
    """Answer pages of the allowed origins as the Fetch standard wants it, and refuse others."""
    if not allowed:
        return

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_welcome(request.headers, allowed):
            raise RequestError("forbidden", "the origin of this page is not allowed here")
        is_preflight = hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if request.method == hdrs.METH_OPTIONS and is_preflight and _is_shared(request):
            return web.Response(status=204, headers=_PREFLIGHT)
        return await handler(request)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        if not _is_shared(request):
            return
        origin = request.headers.get(hdrs.ORIGIN)
        if ANY_ORIGIN in allowed:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = ANY_ORIGIN
        else:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
            if origin is None or origin not in allowed:
                return
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    application.middlewares.append(guard)
    # An event stream has sent its headers long before a middleware sees it.
    application.on_response_prepare.append(add_headers)


def _is_shared(request: web.Request) -> bool:
    return request.path.startswith(_SHARED)
