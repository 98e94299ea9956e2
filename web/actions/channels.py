"""What a user can do to channels: make them, and come into and out of their members."""

import logging
from collections.abc import Collection, Sequence

from app.announcements import encode_membership
from app.archive.channels import DIRECT, OPEN, NewChannel, render_channel
from app.archive.members import MEMBER, OWNER
from app.clients import MONGODB_SECONDS, Outage, answering
from app.errors import FieldError, RequestError, Unavailable
from app.ids import new_id
from app.telemetry.tracing import traceparent_of
from app.topics import MESSAGES
from web.deps import Gateway
from web.identity import User
from web.schemas import CreateChannel

log = logging.getLogger(__name__)

Pair = tuple[str, str]
"""Channel id, user id."""


async def create_channel(
    gateway: Gateway, user: User, body: CreateChannel, *, traceparent: str
) -> tuple[bytes, bool]:
    """Make a channel and its members, or find it; return its JSON, and whether it is new.

    A channel is found by its id, a direct one by its pair. Repeated by its owner, the members are
    added that the first time had not come to.

    Raises:
        RequestError: `conflict`, the id is that of another kind of channel; `invalid`, a direct
            channel has not two members.
        Unavailable: MongoDB or Kafka did not confirm it; repeat it with the same id.
    """
    pair = _pair_of(user, body) if body.kind == DIRECT else None
    wanted = NewChannel(
        id=body.id or new_id(),
        kind=body.kind,
        name=body.name,
        server_id=body.server_id,
        owner_id=None if pair else user.id,
        pair=pair,
    )
    roles = dict.fromkeys(pair or body.members, MEMBER)
    if pair is None:
        roles[user.id] = OWNER
    async with answering("mongodb", MONGODB_SECONDS):
        document, is_new = await gateway.channels.create(wanted)
        channel_id = document["_id"]
        if is_new or pair or document["ownerId"] == user.id:
            await gateway.members.add(channel_id, roles)
        fresh = await gateway.members.unpublished(channel_id, roles)
    await _announce(gateway, [(channel_id, each) for each in fresh], user.id, traceparent)
    return render_channel(document), is_new


def _pair_of(user: User, body: CreateChannel) -> Pair:
    others = set(body.members) - {user.id}
    if len(others) != 1:
        errors = [FieldError("members", "must name one other user")]
        raise RequestError("invalid", "a direct channel has two members", errors)
    return user.id, others.pop()


async def add_member(
    gateway: Gateway, user: User, channel_id: str, member_id: str, *, traceparent: str
) -> None:
    """Make somebody a member; who is one already stays as they are.

    Raises:
        RequestError: `conflict`, it is a direct channel of two others.
        Unavailable: MongoDB or Kafka did not confirm it; repeat it.
    """
    async with answering("mongodb", MONGODB_SECONDS):
        kinds = await gateway.channels.ensure([channel_id])
        if kinds[channel_id] == DIRECT and not await gateway.members.find(channel_id, member_id):
            raise RequestError("conflict", "a direct channel has two members")
        await gateway.members.add(channel_id, {member_id: MEMBER})
    await _announce(gateway, [(channel_id, member_id)], user.id, traceparent)


async def remove_member(
    gateway: Gateway, user: User, channel_id: str, member_id: str, *, traceparent: str
) -> None:
    """End a membership, if there is one.

    Raises:
        Unavailable: MongoDB or Kafka did not confirm it; repeat it.
    """
    async with answering("mongodb", MONGODB_SECONDS):
        await gateway.members.remove(channel_id, member_id)
    left = encode_membership("member_left", channel_id, member_id, user.id)
    # Also if there was none: perhaps this repeats a call that came no further than MongoDB.
    if not all(
        await gateway.publisher.publish_unstored(MESSAGES, [(channel_id, left)], traceparent)
    ):
        raise Unavailable("kafka")


async def enter_channels(gateway: Gateway, user: User, channel_ids: Collection[str]) -> None:
    """Do what a join does beside following: make the unknown channels, and a member of the open.

    For the background: whatever fails is done at the next join, or by the agent when the user sends
    a message.
    """
    try:
        kinds = await gateway.channels.ensure(channel_ids)
        is_open = [channel_id for channel_id in channel_ids if kinds.get(channel_id) == OPEN]
        fresh = await gateway.members.enter(user.id, channel_ids, is_open)
        pairs = [(channel_id, user.id) for channel_id in fresh]
        await _announce(gateway, pairs, user.id, traceparent_of(None))
    except (Unavailable, *Outage) as error:
        log.info("membership_waits", extra={"user": user.id, "error": type(error).__name__})


async def _announce(gateway: Gateway, pairs: Sequence[Pair], by: str, traceparent: str) -> None:
    """Publish that users became members.

    Raises:
        Unavailable: Kafka has not acknowledged all of it, or MongoDB has not noted that it has.
    """
    records = [
        (channel_id, encode_membership("member_joined", channel_id, user_id, by))
        for channel_id, user_id in pairs
    ]
    acknowledged = await gateway.publisher.publish_unstored(MESSAGES, records, traceparent)
    async with answering("mongodb", MONGODB_SECONDS):
        await gateway.members.confirm(
            pair for pair, is_there in zip(pairs, acknowledged, strict=True) if is_there
        )
    if not all(acknowledged):
        raise Unavailable("kafka")
