"""The URL map."""

from aiohttp import web

from web.rest import messages
from web.sse import events
from web.ws import websocket

ROUTES = (
    web.post("/api/messages", messages.send),
    web.get("/api/messages", messages.list_page),
    web.get("/api/messages/{id}", messages.get),
    web.patch("/api/messages/{id}", messages.edit),
    web.delete("/api/messages/{id}", messages.delete),
    web.get("/ws", websocket),
    web.get("/api/events", events),
)
"""All but `/healthz`, `/readyz` and `/metrics`, which every kind of process serves alike."""
