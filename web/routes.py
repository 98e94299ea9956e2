"""The URL map."""

from typing import Final

import orjson
from aiohttp import web

from app.ids import GIVEN_ID, MESSAGE_ID
from web.answers import (
    ActiveUserPage,
    Channel,
    ChannelStatistics,
    MemberPage,
    Message,
    MessagePage,
    NotificationPage,
    NotifiedUsers,
    ReactionPage,
    ReadPage,
    Tombstone,
    Unread,
    UserPresences,
)
from web.fields import EMOJI
from web.openapi import Call, describe_calls
from web.rest import (
    cache,
    channels,
    messages,
    notifications,
    presence,
    reactions,
    statistics,
    unread,
)
from web.rest.bodies import answer, without_query
from web.schemas import (
    ActiveUsersQuery,
    CreateChannel,
    EditMessage,
    EventsQuery,
    MarkRead,
    MembersQuery,
    MessagesQuery,
    NotificationsQuery,
    Notify,
    PresenceQuery,
    ReactionsQuery,
    ReadNotifications,
    SendMessage,
)
from web.transports.sse import events
from web.transports.ws import websocket

_USER: Final = ("X-User-Id", "X-User-Name", "userId", "userName")
_OWN: Final = ("not_authenticated", "forbidden", "not_found")
_MESSAGE: Final = {"id": MESSAGE_ID}
_REACTION: Final = {"id": MESSAGE_ID, "emoji": EMOJI}
_OWNER: Final = {"id": GIVEN_ID}
_MEMBER: Final = {"id": GIVEN_ID, "userId": GIVEN_ID}

CALLS: Final = (
    Call(
        "POST",
        "/api/messages",
        messages.send,
        shared=("Idempotency-Key", *_USER),
        body=SendMessage,
        answers={201: [Message], 200: [Message, Tombstone]},
        refusals=("not_authenticated", "forbidden", "idempotency_conflict"),
    ),
    Call(
        "GET",
        "/api/messages",
        messages.list_page,
        query=MessagesQuery,
        answers={200: [MessagePage]},
        headers={"X-Cache": "^(hit|miss)$"},
    ),
    Call(
        "GET",
        "/api/messages/{id}",
        messages.get,
        ids=_MESSAGE,
        answers={200: [Message]},
        refusals=("not_found",),
    ),
    Call(
        "PATCH",
        "/api/messages/{id}",
        messages.edit,
        ids=_MESSAGE,
        shared=_USER,
        body=EditMessage,
        answers={200: [Message]},
        refusals=_OWN,
    ),
    Call(
        "DELETE",
        "/api/messages/{id}",
        messages.delete,
        ids=_MESSAGE,
        shared=_USER,
        answers={200: [Tombstone]},
        refusals=_OWN,
    ),
    Call(
        "PUT",
        "/api/messages/{id}/reactions/{emoji}",
        reactions.add,
        ids=_REACTION,
        shared=_USER,
        answers={200: [Message]},
        refusals=("not_authenticated", "forbidden", "not_found", "conflict"),
    ),
    Call(
        "DELETE",
        "/api/messages/{id}/reactions/{emoji}",
        reactions.remove,
        ids=_REACTION,
        shared=_USER,
        answers={200: [Message]},
        refusals=_OWN,
    ),
    Call(
        "GET",
        "/api/messages/{id}/reactions/{emoji}",
        reactions.list_users,
        ids=_REACTION,
        query=ReactionsQuery,
        answers={200: [ReactionPage]},
        refusals=("not_found",),
    ),
    Call(
        "POST",
        "/api/notifications",
        notifications.notify,
        shared=("Idempotency-Key",),
        body=Notify,
        answers={202: [NotifiedUsers]},
    ),
    Call(
        "GET",
        "/api/users/{id}/notifications",
        notifications.list_page,
        ids=_OWNER,
        shared=_USER,
        query=NotificationsQuery,
        answers={200: [NotificationPage]},
        refusals=("not_authenticated", "forbidden"),
    ),
    Call(
        "POST",
        "/api/users/{id}/notifications/read",
        notifications.mark_read,
        ids=_OWNER,
        shared=_USER,
        body=ReadNotifications,
        answers={204: []},
        refusals=("not_authenticated", "forbidden"),
    ),
    Call(
        "POST",
        "/api/channels",
        channels.create,
        shared=_USER,
        body=CreateChannel,
        answers={201: [Channel], 200: [Channel]},
        refusals=("not_authenticated", "forbidden", "conflict"),
    ),
    Call(
        "GET",
        "/api/channels/{id}",
        channels.get,
        ids=_OWNER,
        answers={200: [Channel]},
        refusals=("not_found",),
    ),
    Call(
        "GET",
        "/api/channels/{id}/members",
        channels.list_members,
        ids=_OWNER,
        query=MembersQuery,
        answers={200: [MemberPage]},
    ),
    Call(
        "PUT",
        "/api/channels/{id}/members/{userId}",
        channels.add_member,
        ids=_MEMBER,
        shared=_USER,
        answers={204: []},
        refusals=("not_authenticated", "forbidden", "conflict"),
    ),
    Call(
        "DELETE",
        "/api/channels/{id}/members/{userId}",
        channels.remove_member,
        ids=_MEMBER,
        shared=_USER,
        answers={204: []},
        refusals=("not_authenticated", "forbidden"),
    ),
    Call(
        "POST",
        "/api/channels/{id}/read",
        channels.mark_read,
        ids=_OWNER,
        shared=_USER,
        body=MarkRead,
        answers={204: []},
        refusals=("not_authenticated", "forbidden"),
    ),
    Call(
        "GET",
        "/api/channels/{id}/reads",
        channels.list_reads,
        ids=_OWNER,
        query=MembersQuery,
        answers={200: [ReadPage]},
    ),
    Call(
        "GET",
        "/api/users/{id}/unread",
        unread.get,
        ids=_OWNER,
        shared=_USER,
        answers={200: [Unread]},
        refusals=("not_authenticated", "forbidden"),
    ),
    Call(
        "DELETE",
        "/api/users/{id}/unread",
        unread.clear,
        ids=_OWNER,
        shared=_USER,
        answers={204: []},
        refusals=("not_authenticated", "forbidden"),
    ),
    Call(
        "GET",
        "/api/channels/{id}/active-users",
        presence.list_active,
        ids=_OWNER,
        query=ActiveUsersQuery,
        answers={200: [ActiveUserPage]},
    ),
    Call(
        "POST",
        "/api/channels/{id}/typing",
        presence.show_typing,
        ids=_OWNER,
        shared=_USER,
        answers={204: []},
        refusals=("not_authenticated", "forbidden"),
    ),
    Call(
        "GET",
        "/api/channels/{id}/stats",
        statistics.get,
        ids=_OWNER,
        answers={200: [ChannelStatistics]},
    ),
    Call(
        "GET",
        "/api/presence",
        presence.list_online,
        query=PresenceQuery,
        answers={200: [UserPresences]},
    ),
    Call(
        "DELETE",
        "/api/cache/channels/{id}",
        cache.drop_channel,
        ids=_OWNER,
        answers={204: []},
    ),
    Call("DELETE", "/api/cache/servers/{id}", cache.drop_server, ids=_OWNER, answers={204: []}),
    Call("DELETE", "/api/cache/users/{id}", cache.drop_user, ids=_OWNER, answers={204: []}),
    Call(
        "GET",
        "/ws",
        websocket,
        shared=_USER,
        answers={101: []},
        refusals=("not_authenticated", "forbidden"),
    ),
    Call(
        "GET",
        "/api/events",
        events,
        query=EventsQuery,
        shared=("Last-Event-ID", *_USER),
        answers={200: []},
        text="text/event-stream",
        refusals=("not_authenticated", "forbidden", "too_many_channels"),
    ),
)
"""All but `/healthz`, `/readyz` and `/metrics`, which every kind of process serves alike."""


def add_routes(application: web.Application) -> None:
    """Serve every call, and `/api/openapi.json` that describes them."""
    document = orjson.dumps(describe_calls(CALLS))

    async def openapi(_: web.Request) -> web.Response:
        return answer(document)

    application.router.add_get("/api/openapi.json", openapi)
    for call in CALLS:
        handler = call.handler if call.query is not None else without_query(call.handler)
        if call.method == "GET":
            application.router.add_get(call.path, handler)
        else:
            application.router.add_route(call.method, call.path, handler)
