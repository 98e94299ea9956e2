"""What a user can do to channels: make them, and make and end memberships."""

from app.announcements import encode_membership
from app.archive.channels import DIRECT, NewChannel, render_channel
from app.archive.members import MEMBER, OWNER, Pair
from app.clients import MONGODB_SECONDS
from app.errors import FieldError, RequestError, Unavailable
from app.ids import new_id
from app.outages import answering
from app.topics import MESSAGES
from web.deps import Gateway
from web.entries import announce
from web.identity import User
from web.schemas import CreateChannel


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
    joins = [((channel_id, each), user.id) for each in fresh]
    await announce(gateway.publisher, gateway.members, joins, traceparent)
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
        if kinds[channel_id] == DIRECT and member_id not in await gateway.channels.pair(channel_id):
            raise RequestError("conflict", "a direct channel has two members")
        await gateway.members.add(channel_id, {member_id: MEMBER})
    joins = [((channel_id, member_id), user.id)]
    await announce(gateway.publisher, gateway.members, joins, traceparent)


async def remove_member(
    gateway: Gateway, user: User, channel_id: str, member_id: str, *, traceparent: str
) -> None:
    """End a membership, if there is one.

    Raises:
        Unavailable: MongoDB or Kafka did not confirm it; repeat it.
    """
    async with answering("mongodb", MONGODB_SECONDS):
        await gateway.entries.withdraw(member_id, channel_id)
        await gateway.members.remove(channel_id, member_id)
    left = encode_membership("member_left", channel_id, member_id, user.id)
    # Also if there was none: perhaps this repeats a call that came no further than MongoDB.
    if not all(
        await gateway.publisher.publish_unstored(MESSAGES, [(channel_id, left)], traceparent)
    ):
        raise Unavailable("kafka")
