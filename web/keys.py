"""What an aiohttp application carries: typed keys."""

from aiohttp import web

from web.deps import Gateway

GATEWAY = web.AppKey("gateway", Gateway)
