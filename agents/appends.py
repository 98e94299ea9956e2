"""What a batch of message records appends to the streams of channels and of users."""

from collections import defaultdict
from collections.abc import Iterable

import orjson

from agents.plan import Change
from agents.read_states import UserEvent
from app.archive.documents import render
from app.keys import channel_stream, user_stream
from app.stream_log.log import Append, Entry


def channel_appends(changes: Iterable[Change]) -> list[Append]:
    """The changes of messages, channel by channel."""
    entries: defaultdict[str, list[Entry]] = defaultdict(list)
    floors: dict[str, int] = {}
    for change in changes:
        document = change.document
        channel_id = document["channelId"]
        if change.number is not None:
            floors.setdefault(channel_id, change.number - 1)
        entries[channel_id].append(
            Entry(
                offset=change.offset,
                type=change.event_type,
                data=render(document),
                number=change.number,
                change=change.cache,
                message_id=document["_id"],
                rev=document["rev"],
            )
        )
    return [
        Append(channel_stream(channel_id), items, floors.get(channel_id))
        for channel_id, items in entries.items()
    ]


def user_appends(events: Iterable[UserEvent]) -> list[Append]:
    """The users' own events, user by user."""
    entries: defaultdict[str, list[Entry]] = defaultdict(list)
    for event in events:
        entries[event.user_id].append(Entry(event.offset, event.type, orjson.dumps(event.data)))
    return [Append(user_stream(user_id), items, 0) for user_id, items in entries.items()]
