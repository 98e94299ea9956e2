"""The indexes, made by `release`; making one that is there does nothing."""

from app.clients import Database


async def ensure_indexes(database: Database) -> None:
    """Make the indexes that the queries and the uniqueness of numbers and keys rest on."""
    messages = database["messages"]
    # Two workers that number one channel meet here, and nowhere later.
    await messages.create_index(
        [("channelId", 1), ("number", 1)],
        name="channel_number",
        unique=True,
        partialFilterExpression={"number": {"$exists": True}},
    )
    await messages.create_index(
        [("senderId", 1), ("idempotencyKey", 1)],
        name="sender_key",
        unique=True,
        partialFilterExpression={"idempotencyKey": {"$exists": True}},
    )
    # Without what was never changed since it was sent: a history finds that by its numbers, and the
    # time of a cursor is the client's own word.
    await messages.create_index(
        [("channelId", 1), ("changedAt", 1)],
        name="channel_changes",
        partialFilterExpression={"rev": {"$gt": 1}},
    )
    # The channel is in it so that the reconciler finds its own channels without their documents.
    await messages.create_index(
        [("pendingSince", 1), ("channelId", 1)],
        name="pending_channel",
        partialFilterExpression={"pendingSince": {"$exists": True}},
    )
    reactions = database["reactions"]
    await reactions.create_index(
        [("messageId", 1), ("emoji", 1), ("userId", 1)], name="message_emoji_user", unique=True
    )
    await reactions.create_index(
        [("messageId", 1), ("emoji", 1), ("rev", 1)], name="message_emoji_rev"
    )
    notifications = database["notifications"]
    await notifications.create_index(
        [("userId", 1), ("createdAt", -1), ("_id", -1)], name="user_created"
    )
    # Small, however many were ever sent: only what is unread is in it.
    await notifications.create_index(
        [("userId", 1), ("readAt", 1)],
        name="user_unread",
        partialFilterExpression={"readAt": None},
    )
    await database["channels"].create_index(
        "pair", name="pair", unique=True, partialFilterExpression={"pair": {"$exists": True}}
    )
    await database["channels"].create_index("serverId", name="server", sparse=True)
    members = database["members"]
    await members.create_index([("channelId", 1), ("userId", 1)], name="channel_user", unique=True)
    await members.create_index([("userId", 1), ("channelId", 1)], name="user_channel")
