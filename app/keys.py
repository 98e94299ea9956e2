"""Every Redis key: its pattern, type, time to live, writer and readers.

Given ids may contain `:`, so a key is only ever put together, never split. The hash tag of `:log`,
`:meta` and `:live` is the stream's own name, so a stream's keys share a cluster slot; a channel's
name is also its cache key, which therefore lies in the same slot.
"""

from dataclasses import dataclass
from typing import Final

CACHE_LENGTH: Final = 100
"""Messages kept in a channel's list: what a client shows first is one page or two."""

CACHE_TTL_SECONDS: Final = 3600
"""A channel that nobody writes to or reads for an hour leaves the memory."""

LOG_LENGTH: Final = 1000
"""Events kept to resume from; further back a client is served from MongoDB."""

LOG_TTL_SECONDS: Final = 3600

META_TTL_SECONDS: Final = 7 * 24 * 3600
"""Far beyond the log's, so that an epoch outlives every cursor that the log could serve."""

GATEWAY_LEASE_SECONDS: Final = 30

ACTIVE_SECONDS: Final = 300
"""Who is in a channel's list and is not renewed for so long is not there: no worker runs."""

ACTIVE_RENEWED_SECONDS: Final = 60
"""The lists of a partition are written anew so often."""

COUNT_TTL_SECONDS: Final = 600
"""Only clears away: a gateway's counts are believed while its lease lives, however old they are."""

TYPING_SECONDS: Final = 5

TABLE_SHARDS: Final = 64
"""Into so many hashes the entries of a table's partition are spread, so that each can be read at
once: of a million entries in four partitions Redis gives one in 1 ms. Another number needs other
keys: what is in the shards of this one would be found again, and not be looked for there."""


@dataclass(frozen=True, slots=True)
class StreamKey:
    """What a client follows: a channel (`messages:<channelId>`) or a user's own events."""

    kind: str
    id: str

    @property
    def name(self) -> str:
        """LIST (channels only) · 1 h · the last 100 messages, newest first · append, fill · GET."""
        return f"messages:{self.id}" if self.kind == "channel" else f"user:{self.id}"

    @property
    def log(self) -> str:
        """STREAM · 1 h · the last 1,000 events, id `<seq>-0`, the frame · append · gateways."""
        return f"{{{self.name}}}:log"

    @property
    def meta(self) -> str:
        """HASH · 7 d · epoch, seq, number, server and guards · append · gateways."""
        return f"{{{self.name}}}:meta"

    @property
    def live(self) -> str:
        """pub/sub · events on their way to gateways · append, agents · gateways."""
        return f"{{{self.name}}}:live"


def channel_stream(channel_id: str) -> StreamKey:
    """The stream of a channel."""
    return StreamKey("channel", channel_id)


def user_stream(user_id: str) -> StreamKey:
    """The stream of a user's own events."""
    return StreamKey("user", user_id)


def gateway_lease(gateway_id: str) -> str:
    """STRING · 30 s, renewed every 10 s · a living gateway · gateway · activity worker."""
    return f"gateway:{gateway_id}"


def active_users(channel_id: str) -> str:
    """ZSET · 300 s · userId by the ms up to which it counts · activity agent · gateways."""
    return f"active:{channel_id}"


def active_names(channel_id: str) -> str:
    """HASH · as `active:` · userId -> name · activity agent · gateways."""
    return f"active-names:{channel_id}"


def active_renewed(partition: int) -> str:
    """STRING · 60 s · this partition's `active:` lists are whole · activity worker · the same."""
    return f"active-renewed:{partition}"


def connection_counts(channel_id: str) -> str:
    """HASH · 600 s · gatewayId -> connections in a channel there · gateway · gateways."""
    return f"connections:{channel_id}"


def online(user_id: str) -> str:
    """HASH · 600 s · gatewayId -> a user's connections there · gateway · gateways."""
    return f"online:{user_id}"


def typing(channel_id: str, user_id: str) -> str:
    """STRING · 5 s · a user's typing has just been told · gateway · gateways."""
    # Ids with colons can share a key: then one of two typists is not shown for 5 s.
    return f"typing:{channel_id}:{user_id}"


def newest_number(channel_id: str) -> str:
    """STRING · no TTL · the newest message's number, and a position · messages agent · gateways."""
    return f"number:{channel_id}"


def read_states(user_id: str) -> str:
    """HASH · no TTL · channelId -> `[read,[mentions]]` or `left`, and a position · messages agent ·
    gateways."""
    return f"read:{user_id}"


def notification_count(user_id: str) -> str:
    """STRING · no TTL · a user's unread notifications, and a position · notifications agent ·
    gateways."""
    return f"notifications:{user_id}"


@dataclass(frozen=True, slots=True)
class TableKey:
    """A Faust table's partition; all keys of one lie in the same cluster slot."""

    group: str
    table: str
    partition: int

    @property
    def shards(self) -> tuple[str, ...]:
        """HASHes · no TTL · the table's own keys and values, as in its changelog · table store."""
        table = f"table:{{{self.group}:{self.table}:{self.partition}}}"
        return tuple(f"{table}:data:{number}" for number in range(TABLE_SHARDS))

    @property
    def meta(self) -> str:
        """HASH · no TTL · owner, and how far the data goes in the changelog · table store."""
        return f"table:{{{self.group}:{self.table}:{self.partition}}}:meta"
