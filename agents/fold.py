"""The fold of a batch's records into read states, in the order of the records. Pure."""

from collections.abc import Collection, Mapping, Sequence

from agents.mentions import named_in
from agents.plan import Change
from agents.read_states import ReadStates
from app.records import ChannelRead, MemberJoined, MemberLeft, MessageEvent
from app.streaming.work import Received


def fold_records(
    states: ReadStates,
    received: Sequence[Received],
    changes: Mapping[int, Change],
    before: Mapping[str, int],
    closed: Collection[str],
) -> None:
    """Apply each record to the states that it touches.

    `changes` are the effects of the batch's message records, by offset. `before` are the newest
    numbers that channels had before the batch, of those that are joined or read in it. `closed` are
    the channels that messages make nobody a member of.
    """
    newest = dict(before)
    for item in received:
        event, offset = item.event, item.offset
        if isinstance(event, MessageEvent):
            change = changes.get(offset)
            if change is not None and change.number is not None:
                channel_id = event.channel_id
                _fold_message(states, change, change.number, is_open=channel_id not in closed)
                newest[channel_id] = max(newest.get(channel_id, 0), change.number)
        elif isinstance(event, ChannelRead):
            states.read(
                offset, event.channel_id, event.user_id, event.number, newest[event.channel_id]
            )
        elif isinstance(event, MemberJoined):
            states.join(offset, event.channel_id, event.user_id, event.by, newest[event.channel_id])
        elif isinstance(event, MemberLeft):
            states.leave(offset, event.channel_id, event.user_id, event.by)


def _fold_message(states: ReadStates, change: Change, number: int, *, is_open: bool) -> None:
    message, offset = change.document, change.offset
    channel_id, sender_id = message["channelId"], message["senderId"]
    is_deleted = message.get("deletedAt") is not None
    states.send(offset, channel_id, sender_id, number, is_open=is_open, is_deleted=is_deleted)
    for user_id in named_in(message):
        states.mention(
            offset, channel_id, user_id, number, sender_id, is_open=is_open, is_deleted=is_deleted
        )
