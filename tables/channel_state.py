"""The table of channels: the newest number of each, and the record that it was counted from."""

from typing import Any

import faust

from app.topics import MESSAGES
from tables.projections import project_numbers


class ChannelState(
    faust.Record, serializer="json", include_metadata=False, namespace="hubbub.channel_state"
):
    """A channel's newest `number`; `position` is [incarnation, partition, offset] of its record."""

    number: int
    position: list[Any]


def channel_state_table(app: faust.App) -> Any:
    """Return the table, by channel id; made once an App."""
    return app.Table(
        "channel_state",
        value_type=ChannelState,
        options={"projection": project_numbers},
        partitions=app.conf.topic_partitions,
        help=f"newest number by channel, of {MESSAGES.name}",
    )
