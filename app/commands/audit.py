"""`audit`: compare what MongoDB, Kafka and Redis hold of a channel."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis

from app.archive.channel_audit import ChannelArchive
from app.archive.documents import format_time
from app.archive.topics import TopicRegistry
from app.audit import (
    Finding,
    Recorded,
    StreamState,
    check_cache,
    check_log,
    check_numbers,
    check_records,
    check_states,
)
from app.commands.output import print_json, print_line
from app.commands.servers import kafka_reader, mongodb, redis_client
from app.errors import CommandError
from app.ids import is_given_id
from app.keys import CACHE_LENGTH, channel_stream
from app.reading import follow, read_all
from app.settings import Settings
from app.topics import MESSAGES, partition_of

COULD_NOT_CHECK: Final = 2
_PAUSE_SECONDS: Final = 1.0
"""Between two looks: what only one of them finds was on its way from one server to the next."""

_ago = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(slots=True)
class Report:
    """What one look came to, and how much it has compared."""

    findings: list[Finding] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)


async def audit_channel(settings: Settings, channel_id: str, since: str, *, as_json: bool) -> int:
    """Compare, and print what is missing, doubled or out of order; return 0 if nothing is, else 1.

    Raises:
        CommandError: the channel or the time is none, or nothing is known of the channel.
        Unavailable: a server does not answer.
    """
    if not is_given_id(channel_id):
        raise CommandError(f"{channel_id!r} is no channel's id")
    start = parse_time(since)
    async with AsyncExitStack() as stack:
        archive = await stack.enter_async_context(mongodb(settings))
        reader = await stack.enter_async_context(kafka_reader(settings))
        redis = await stack.enter_async_context(redis_client(settings))
        partitions, _ = await TopicRegistry(archive).find(MESSAGES.name)
        channel = ChannelArchive(archive, channel_id)
        audit = _Audit(channel, reader, redis, channel_id, partitions)
        report = await audit.look(start)
        if not any(report.checked.values()) and not await channel.exists():
            raise CommandError(f"there is no channel {channel_id!r}")
        if report.findings:
            await asyncio.sleep(_PAUSE_SECONDS)
            again = await audit.look(start)
            report.findings = [each for each in again.findings if each in report.findings]
    if as_json:
        print_json(
            {
                "channelId": channel_id,
                "since": format_time(start),
                "checked": report.checked,
                "findings": [asdict(finding) for finding in report.findings],
            }
        )
    else:
        for finding in report.findings:
            print_line(f"{finding.kind:13} {finding.place:8} {finding.detail}")
        counts = ", ".join(f"{count} {name}" for name, count in report.checked.items())
        print_line(f"{len(report.findings)} findings in {counts}")
    return int(bool(report.findings))


def parse_time(text: str) -> datetime:
    """Read a time: `2026-01-22T10:15:30Z`, or how long ago: `90m`, `12h`, `7d`.

    Raises:
        CommandError: it is none of these.
    """
    if match := _ago.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is no time: 2026-01-22T10:15:30Z, 90m, 12h, 7d") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


class _Audit:
    """Looks at one channel in three servers."""

    def __init__(
        self,
        archive: ChannelArchive,
        reader: AIOKafkaConsumer,
        redis: Redis,
        channel_id: str,
        partitions: int,
    ) -> None:
        self._archive = archive
        self._reader = reader
        self._redis = redis
        self._channel_id = channel_id
        self._place = TopicPartition(MESSAGES.name, partition_of(channel_id.encode(), partitions))

    async def look(self, since: datetime) -> Report:
        """Read everything once, and compare."""
        state = await self._read_stream()
        numbers = [number async for number in self._archive.numbers()]
        highest = numbers[-1] if numbers else 0
        up_to = highest if state.number is None else state.number
        newest = await self._archive.newest(CACHE_LENGTH, up_to)
        changed = await self._archive.changed_since(since)
        records, kept_since = await self._read_records(since)
        mentioned = state.message_ids | {record.message_id for record in records}
        known = await self._archive.numbers_of(mentioned)
        findings = [
            *check_numbers(numbers),
            *check_states(changed, datetime.now(UTC)),
            *check_records(changed, records, known, kept_since),
            *check_log(state, known),
            *check_cache(state, newest, highest),
        ]
        checked = {
            "messages": len(numbers),
            "changes": len(changed),
            "records": len(records),
            "events": len(state.entries),
            "cached": len(state.cache),
        }
        return Report(findings, checked)

    async def _read_stream(self) -> StreamState:
        stream = channel_stream(self._channel_id)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(stream.meta)
            pipeline.xrange(stream.log)
            pipeline.lrange(stream.name, 0, -1)
            meta, entries, cache = await pipeline.execute()
        return StreamState(
            {name.decode(): value.decode() for name, value in meta.items()},
            [(entry.decode(), fields[b"f"]) for entry, fields in entries],
            cache,
        )

    async def _read_records(self, since: datetime) -> tuple[Sequence[Recorded], datetime]:
        """The channel's records, and from when on they can be expected: Kafka deletes old ones."""
        records: list[Recorded] = []
        key, oldest = self._channel_id.encode(), since
        follow(self._reader, [self._place])
        begins = await self._reader.beginning_offsets([self._place])
        since_ms = int(since.timestamp() * 1000)
        async for raw in read_all(self._reader, [self._place], since_ms=since_ms):
            if raw.offset == begins[self._place] > 0:
                oldest = datetime.fromtimestamp(raw.timestamp / 1000, UTC)
            if raw.key == key and (record := _read_record(raw.value)) is not None:
                records.append(record)
        return records, oldest


def _read_record(value: bytes | None) -> Recorded | None:
    try:
        data: Any = orjson.loads(value or b"")
        return Recorded(str(data["message"]["id"]), str(data["type"]), int(data["rev"]))
    except (ValueError, TypeError, KeyError):
        return None  # No record of a message; a malformed one is a dead letter.
