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
    await messages.create_index([("channelId", 1), ("changedAt", 1)], name="channel_changed")
    await messages.create_index([("pendingSince", 1)], name="pending", sparse=True)
