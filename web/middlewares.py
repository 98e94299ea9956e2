"""What happens around every request: errors become problems, and each is counted and timed."""

import logging
import time
from functools import cache
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import Counter, Histogram

from app.errors import RequestError
from web.problems import Problem, describe

log = logging.getLogger(__name__)

_requests = Counter(
    "hubbub_http_requests_total", "Requests answered.", ["method", "route", "status"]
)
_seconds = Histogram(
    "hubbub_http_request_seconds",
    "From a request's headers to its answer; streams are not in it.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

_AIOHTTP_CODES: Final = {
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not know this method"),
    413: ("too_large", "a body may have 64 KiB"),
}


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and time the request by its route, not by its path, which clients choose."""
    started = time.perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = "unmatched" if resource is None else resource.canonical
    method = request.method if resource is not None else "other"
    count, seconds = _meters(method, route, response.status)
    count.inc()
    if isinstance(response, web.Response):
        seconds.observe(time.perf_counter() - started)
    return response


def count_request(method: str, route: str, status: int) -> None:
    """Count a request that was answered before any middleware saw it."""
    _meters(method, route, status)[0].inc()


@cache
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    # Finding a metric's child costs more than counting.
    return _requests.labels(method, route, status), _seconds.labels(method, route)


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as `application/problem+json`."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code, detail = _AIOHTTP_CODES.get(error.status, ("invalid", error.reason))
        response = respond(describe(RequestError(code, detail)))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except web.RequestPayloadError:
        return respond(describe(RequestError("bad_json", "the body cannot be read")))
    except Exception as error:
        problem = describe(error)
        if problem.status == 500:
            log.exception("request_failed", extra={"method": request.method})
        return respond(problem)


def respond(problem: Problem) -> web.Response:
    """Return a problem as an answer."""
    headers = {"Content-Type": "application/problem+json"}
    if problem.retry_after_seconds is not None:
        headers["Retry-After"] = str(problem.retry_after_seconds)
    return web.Response(body=problem.body, status=problem.status, headers=headers)
