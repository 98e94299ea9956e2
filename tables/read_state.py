"""The table of read states: how far each member of a channel has read it."""

from typing import Any

import faust

from app.topics import MESSAGES
from tables.projections import project_read_states

Key = tuple[str, str]
"""Channel id, user id; a JSON array in the changelog, since ids may contain any separator."""


class ReadState(
    faust.Record, serializer="json", include_metadata=False, namespace="hubbub.read_state"
):
    """How far a user has `read`: the number of a message; all up to it are read.

    `mentions` are the numbers above it that name the user, the newest 100; `position` is
    [incarnation, partition, offset] of the record that came to it. Who has left keeps a state, so
    that a record that is delivered again finds its effect done.
    """

    read: int
    mentions: list[int]
    position: list[Any]
    left: bool = False


def read_state_table(app: faust.App) -> Any:
    """Return the table, by channel and user id; made once an App."""
    return app.Table(
        "read_state",
        value_type=ReadState,
        options={"projection": project_read_states},
        partitions=app.conf.topic_partitions,
        help=f"how far each member has read, of {MESSAGES.name}",
    )
