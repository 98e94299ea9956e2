"""The table of users' unread notifications: how many, and the record that they were counted at."""

from typing import Any

import faust

from app.topics import NOTIFICATIONS
from tables.projections import project_notifications


class NotificationState(
    faust.Record, serializer="json", include_metadata=False, namespace="hubbub.notification_state"
):
    """How many notifications are `unread`; `position` is [incarnation, partition, offset] of the
    last record that was counted."""

    unread: int
    position: list[Any]


def notification_state_table(app: faust.App) -> Any:
    """Return the table, by user id; made once an App."""
    return app.Table(
        "notification_state",
        value_type=NotificationState,
        options={"projection": project_notifications},
        partitions=app.conf.topic_partitions,
        help=f"unread notifications by user, of {NOTIFICATIONS.name}",
    )
