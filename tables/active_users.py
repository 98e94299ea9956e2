"""The table of who is where: each user of each channel, and the sessions that make them active."""

from collections.abc import Iterator
from typing import Any

import faust
import orjson

from app.topics import USER_ACTIVITY


class ActiveUser(
    faust.Record, serializer="json", include_metadata=False, namespace="hubbub.active_user"
):
    """A user of a channel, at least one of whose sessions lives.

    `sessions`: id -> [gateway id, expiry in Unix ms or 0: as long as the gateway's lease].
    `position` is [incarnation, partition, offset] of the last record that changed it.
    """

    name: str
    sessions: dict[str, Any]
    position: list[Any]


def active_users_table(app: faust.App) -> Any:
    """Return the table, by (channel id, user id); made once an App."""
    return app.Table(
        "active_users",
        value_type=ActiveUser,
        partitions=app.conf.topic_partitions,
        help=f"sessions by channel and user, of {USER_ACTIVITY.name}",
    )


def load_active_users(
    table: Any, partition: int
) -> Iterator[tuple[str, str, str, dict[str, list[Any]], list[Any]]]:
    """Yield channel id, user id, name, sessions and position of all that a partition holds.

    Raises:
        PartitionLost: it is not held here.
    """
    for key, value in table.data.hold(partition).data.items():
        channel_id, user_id = orjson.loads(key)
        entry = orjson.loads(value)
        yield channel_id, user_id, entry["name"], entry["sessions"], entry["position"]
