"""`join_channel`, `resume`, `leave_channel`: what a connection follows."""

import asyncio
from typing import Annotated

from pydantic import Field

from app.errors import RequestError, Unavailable
from app.keys import channel_stream
from web.fan_out.connection import Connection
from web.fan_out.replay import follow
from web.fan_out.resume import Start, decide, open_stream
from web.fields import GivenId
from web.ops.call import Call
from web.schemas import Input
from web.transports.hello import MOST_CHANNELS

CursorText = Annotated[str, Field(max_length=100)]


class JoinChannel(Input):
    """`join_channel`"""

    channel_id: GivenId
    since: CursorText | None = None


class LeaveChannel(Input):
    """`leave_channel`"""

    channel_id: GivenId


class Resume(Input):
    """`resume`: cursors of the user's own stream, and of channels by their ids."""

    user: CursorText | None = None
    channels: Annotated[dict[GivenId, CursorText], Field(default_factory=dict)]


async def join_channel(call: Call, frame: JoinChannel) -> None:
    """Follow a channel, from a cursor if one is given."""
    _check_count(call.connection, {frame.channel_id})
    key = channel_stream(frame.channel_id)
    await _enter(call, [await open_stream(call.gateway.hub, key, frame.since)])


async def resume(call: Call, frame: Resume) -> None:
    """Go on in many channels, and in the user's own stream, in one round trip."""
    connection = call.connection
    _check_count(connection, set(frame.channels))
    own = None
    if frame.user is not None:
        if connection.own is None:
            raise Unavailable("redis")
        own = await decide(call.gateway.hub, connection.own, frame.user)
    begun = await asyncio.gather(
        *(
            open_stream(call.gateway.hub, channel_stream(channel_id), since)
            for channel_id, since in frame.channels.items()
        ),
        return_exceptions=True,
    )
    if own is not None and not connection.is_closed:
        call.answer("resumed", **own.fields)
        own.stream.followers.discard(connection)
        follow(call.gateway.hub, connection, [own])
    starts: list[Start] = []
    for channel_id, result in zip(frame.channels, begun, strict=True):
        if isinstance(result, Start):
            starts.append(result)
        elif isinstance(result, Exception):
            call.refuse(result, channelId=channel_id)
        else:
            raise result
    await _enter(call, starts)
    if own is None and not frame.channels:
        call.answer("ack")


def _check_count(connection: Connection, channel_ids: set[str]) -> None:
    if len(channel_ids | connection.streams.keys()) > MOST_CHANNELS:
        raise RequestError("too_many_channels", f"a connection may follow {MOST_CHANNELS} channels")


async def _enter(call: Call, starts: list[Start]) -> None:
    try:
        active = await call.gateway.active_users.of_streams([start.stream for start in starts])
    except BaseException as error:
        for start in starts:
            call.gateway.hub.release(start.stream)
        if not isinstance(error, Unavailable):
            raise
        for start in starts:
            call.refuse(error, channelId=start.stream.key.id)
        return
    # Nothing is awaited between the answers and the attachment: what they say is still true.
    hub, connection = call.gateway.hub, call.connection
    for start, users in zip(starts, active, strict=True):
        stream = start.stream
        channel_id = stream.key.id
        if connection.is_closed:
            hub.release(stream)
            continue
        if channel_id in connection.streams:
            # Joined again: from now on only what this answer says.
            hub.leave(stream, connection)
        connection.streams[channel_id] = stream
        call.gateway.presence.join(connection, channel_id)
        call.answer("joined", channelId=channel_id, **start.fields, **users.fields)
    if not connection.is_closed:
        follow(hub, connection, starts)
        call.gateway.entries.add(connection.user.id, [start.stream.key.id for start in starts])


async def leave_channel(call: Call, frame: LeaveChannel) -> None:
    """Follow a channel no more."""
    stream = call.connection.streams.pop(frame.channel_id, None)
    if stream is not None:
        call.gateway.hub.leave(stream, call.connection)
        call.gateway.presence.leave(call.connection, frame.channel_id)
    call.answer("left", channelId=frame.channel_id)
