"""The operator's commands, as they are run, beside a gateway and a worker."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from redis import Redis as RedisClient

from app.ids import new_id
from app.topics import partition_of
from dev.processes import ROOT, Process
from tests.support.stack import Stack, Stored

PARTITIONS = 4
COMMAND_SECONDS = 60
"""A command that hangs is a failure; a thread that waits for it could not be cancelled."""


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> Process:
    return stack.start("web.1")[0]


@pytest.fixture(scope="module")
def worker(stack: Stack) -> Process:
    return stack.start("messages.1", HUBBUB_INSTANCE="messages.1")[0]


@pytest.fixture
def documents(stored: Stored) -> Any:
    return stored["messages"]


@pytest.fixture
def redis(stack: Stack) -> Iterator[RedisClient]:
    with RedisClient(host="127.0.0.1", port=stack.redis.port) as client:
        yield client


@pytest.fixture
async def producer(stack: Stack) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka.address)
    await producer.start()
    yield producer
    await producer.stop()


class Command:
    """A command that was run: its exit status, and what it printed."""

    def __init__(self, done: "subprocess.CompletedProcess[str]") -> None:
        self.status = done.returncode
        self.out = done.stdout
        self.error = done.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def run(stack: Stack, *arguments: str, **environment: str) -> Command:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", *arguments],
        env={**os.environ, **stack.environment, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    return Command(done)


async def post(url: str, channel: str, content: str) -> Any:
    body = {"content": content, "channelId": channel, "senderId": "u1", "senderName": "John"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/messages", json=body) as response,
    ):
        assert response.status == 201, await response.text()
        return await response.json()


async def until_applied(documents: Any, channel: str) -> None:
    async with asyncio.timeout(45):
        while documents.count_documents({"channelId": channel, "pendingSince": {"$exists": True}}):
            await asyncio.sleep(0.05)


# topics


async def test_topics_as_provisioned_differ_in_nothing(stack: Stack) -> None:
    shown = await run(stack, "topics", "--json")
    assert shown.status == 0, shown.out + shown.error
    topics = {topic["topic"]: topic for topic in shown.json}
    assert {"messages", "messages-dlq", "messages-group-channel_state-changelog"} <= set(topics)
    assert topics["messages"]["partitions"] == PARTITIONS
    assert len(topics["messages"]["incarnation"]) == 8
    table = await run(stack, "topics", "list")
    assert table.out.splitlines()[0].split() == [
        "TOPIC", "PARTITIONS", "REPLICAS", "INCARNATION", "AS", "WANTED",
    ]  # fmt: skip


async def test_topics_names_the_migration_where_the_settings_want_other_partitions(
    stack: Stack,
) -> None:
    shown = await run(stack, "topics", HUBBUB_PARTITIONS="8")
    assert shown.status == 1
    assert "messages has 4 partitions, the settings want 8: a topic is never" in shown.out
    assert (await run(stack, "release", HUBBUB_PARTITIONS="8")).status == 0
    assert (await run(stack, "topics", "--json")).json[0]["partitions"] == PARTITIONS


async def test_adopt_of_an_unknown_topic_fails_in_one_line(stack: Stack) -> None:
    done = await run(stack, "topics", "adopt", "nothing")
    assert (done.status, done.out) == (1, "")
    assert done.error == "hubbub: nothing is no topic of Hubbub's; topics list shows them\n"


async def test_command_without_servers_fails_in_one_line(stack: Stack) -> None:
    nowhere = {"KAFKA_BROKERS": "127.0.0.1:1", "HUBBUB_START_TIMEOUT_SECONDS": "2"}
    for command, status in (("lag",), 1), (("audit", "--channel", "c", "--since", "1h"), 2):
        done = await run(stack, *command, **nowhere)
        assert done.status == status
        assert done.error.splitlines()[-1] == "hubbub: kafka does not answer after 2 s"


# lag


async def test_lag_counts_what_a_stopped_worker_has_not_read(
    stack: Stack, gateway: Process, worker: Process, documents: Any
) -> None:
    await post(gateway.url, "lag", "read")
    await until_applied(documents, "lag")
    worker.stop()  # It commits what it has done.
    for number in range(3):
        await post(gateway.url, "lag", str(number))
    await asyncio.sleep(1)
    rows = (await run(stack, "lag", "--json")).json
    partition = partition_of(b"lag", PARTITIONS)
    row = next(r for r in rows if (r["topic"], r["partition"]) == ("messages", partition))
    assert (row["group"], row["lag"], row["end"] - row["committed"]) == ("messages-group", 3, 3)
    assert 1 <= row["seconds"] < 60
    lags = {3}
    worker.start()  # In this thread, with which it would end.
    await asyncio.to_thread(worker.wait_ready)
    await until_applied(documents, "lag")
    async with asyncio.timeout(30):
        while lags != {0}:  # It is committed within seconds.
            rows = (await run(stack, "lag", "--json")).json
            lags = {r["lag"] for r in rows if r["topic"] == "messages"}
    assert "SECONDS BEHIND" in (await run(stack, "lag")).out


async def test_worker_exports_the_lag_of_its_group(worker: Process) -> None:
    partition = partition_of(b"lag", PARTITIONS)
    labels = f'{{group="messages-group",partition="{partition}",topic="messages"}}'
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while True:
            async with session.get(f"{worker.url}/metrics") as response:
                if f"hubbub_consumer_lag{labels} 0.0" in await response.text():
                    return
            await asyncio.sleep(0.5)


# dlq


async def test_letter_is_listed_shown_and_replayed_with_one_effect(
    stack: Stack, gateway: Process, worker: Process, documents: Any, producer: AIOKafkaProducer
) -> None:
    """A record in a partition that is not its key's; replayed, it goes where it belongs."""
    posted = await post(gateway.url, "letters", "one")
    await until_applied(documents, "letters")
    value = orjson.dumps(
        {
            "eventId": new_id(),
            "type": "message_updated",
            "occurredAt": "2026-01-01T00:00:00.000Z",
            "channelId": "letters",
            "rev": 1,
            "message": {**posted, "number": 1},
        }
    )
    wrong = (partition_of(b"letters", PARTITIONS) + 1) % PARTITIONS
    await producer.send_and_wait("messages", value, key=b"letters", partition=wrong)
    (letter,) = await letters(stack, "wrong_partition")
    assert letter["source-partition"] == str(wrong)
    assert (letter["key"], letter["messageId"]) == ("letters", posted["id"])

    shown = await run(stack, "dlq", "show", letter["at"])
    assert shown.status == 0
    assert "reason: wrong_partition" in shown.out
    assert value.decode() in shown.out

    for _ in range(2):
        done = await run(stack, "dlq", "replay", letter["at"])
        assert done.status == 0, done.error
        assert done.out.startswith(f"{letter['at']} is messages:{(wrong - 1) % PARTITIONS}:")
    assert letter["at"] not in [
        each["at"] for each in (await run(stack, "dlq", "list", "--json")).json
    ]
    everything = (await run(stack, "dlq", "list", "--all", "--json")).json
    assert {"replayed"} == {each["state"] for each in everything if each["at"] == letter["at"]}
    audited = await run(stack, "audit", "--channel", "letters", "--since", "1h")
    assert audited.status == 0, audited.out


async def test_replay_of_a_marked_message_delivers_it(
    stack: Stack, gateway: Process, worker: Process, documents: Any, producer: AIOKafkaProducer
) -> None:
    document, at = await bury(stack, documents, producer, "buried")
    done = await run(stack, "dlq", "replay", at)
    assert done.status == 0, done.error
    await until_applied(documents, "buried")
    found = documents.find_one({"_id": document["_id"]})
    assert found["number"] == 1
    assert "deadLettered" not in found


async def test_drop_takes_the_mark_away_and_is_left_alone(
    stack: Stack, gateway: Process, worker: Process, documents: Any, producer: AIOKafkaProducer
) -> None:
    document, at = await bury(stack, documents, producer, "dropped")
    done = await run(stack, "dlq", "drop", at)
    assert (done.status, done.out) == (0, f"{at} is dropped\n")
    found = documents.find_one({"_id": document["_id"]})
    assert not {"deadLettered", "pendingSince", "number"} & set(found)
    assert at not in [each["at"] for each in (await run(stack, "dlq", "list", "--json")).json]


async def test_letter_that_does_not_exist_fails_in_one_line(stack: Stack) -> None:
    done = await run(stack, "dlq", "show", "messages-dlq:0:4711")
    assert (done.status, done.error) == (
        1,
        "hubbub: there is no dead letter at messages-dlq:0:4711\n",
    )
    done = await run(stack, "dlq", "replay", "messages:0:1")
    assert done.status == 1
    assert "'messages:0:1' is no TOPIC:PARTITION:OFFSET" in done.error


async def letters(stack: Stack, reason: str) -> list[Any]:
    async with asyncio.timeout(45):
        while True:
            listed = await run(stack, "dlq", "list", "--topic", "messages", "--json")
            assert listed.status == 0, listed.error
            if found := [each for each in listed.json if each["reason"] == reason]:
                return found


async def bury(
    stack: Stack, documents: Any, producer: AIOKafkaProducer, channel: str
) -> tuple[Any, str]:
    """A message as a worker leaves it whose handler failed on it; and its letter's place."""
    now = datetime.now(UTC)
    mark = {"topic": "messages", "partition": 0, "offset": 0, "reason": "handler_failed", "at": now}
    document: dict[str, Any] = {
        "_id": new_id(), "channelId": channel, "senderId": "u1", "senderName": "John",
        "content": "hi", "replyTo": None, "mentions": [], "metadata": "{}", "rev": 1,
        "reactions": [], "createdAt": now, "changedAt": now, "deadLettered": mark,
    }  # fmt: skip
    documents.insert_one(document)
    value = {
        "eventId": f"{document['_id']}:1", "type": "message_created",
        "occurredAt": "2026-01-01T00:00:00.000Z", "channelId": channel, "rev": 1,
        "message": {"id": document["_id"]},
    }  # fmt: skip
    headers = [("reason", b"handler_failed"), ("source-topic", b"messages")]
    sent = await producer.send_and_wait(
        "messages-dlq", orjson.dumps(value), key=channel.encode(), headers=headers
    )
    return document, f"messages-dlq:{sent.partition}:{sent.offset}"


# audit


async def audited(stack: Stack, channel: str) -> tuple[int, set[tuple[str, str]]]:
    done = await run(stack, "audit", "--channel", channel, "--since", "1h", "--json")
    assert done.status in (0, 1), done.error
    return done.status, {(f["kind"], f["place"]) for f in done.json["findings"]}


@pytest.fixture
async def channel(gateway: Process, worker: Process, documents: Any, redis: RedisClient) -> str:
    """A channel of its own with five messages, one of them edited, one deleted."""
    name = f"audit-{new_id()[-6:]}"
    posted = [await post(gateway.url, name, str(number)) for number in range(5)]
    await until_applied(documents, name)
    owner = {"X-User-Id": "u1", "X-User-Name": "John"}
    async with aiohttp.ClientSession(f"{gateway.url}/", headers=owner) as session:
        await session.patch(f"api/messages/{posted[1]['id']}", json={"content": "edited"})
        await session.delete(f"api/messages/{posted[2]['id']}")
    async with asyncio.timeout(45):
        while redis.hget(f"{{messages:{name}}}:meta", "seq") != b"7":
            await asyncio.sleep(0.05)
    await until_applied(documents, name)
    return name


async def test_audit_of_a_sound_channel_finds_nothing(stack: Stack, channel: str) -> None:
    done = await run(stack, "audit", "--channel", channel, "--since", "1h", "--json")
    assert (done.status, done.json["findings"]) == (0, [])
    assert done.json["checked"] == {
        "messages": 5, "changes": 5, "records": 7, "events": 7, "cached": 4,
    }  # fmt: skip


async def test_audit_finds_a_hole_in_the_numbers(
    stack: Stack, channel: str, documents: Any
) -> None:
    documents.delete_one({"channelId": channel, "number": 1})
    status, findings = await audited(stack, channel)
    assert status == 1
    assert {("missing", "mongodb"), ("differs", "redis")} <= findings


async def test_audit_finds_a_message_without_a_record(
    stack: Stack, channel: str, documents: Any
) -> None:
    sound = documents.find_one({"channelId": channel, "number": 5})
    documents.insert_one({**sound, "_id": new_id(), "number": 6})
    status, findings = await audited(stack, channel)
    assert (status, ("missing", "kafka") in findings) == (1, True)


async def test_audit_finds_a_pending_message_and_a_dead_letter(
    stack: Stack, channel: str, documents: Any
) -> None:
    document = documents.find_one({"channelId": channel, "number": 4})
    mark = {"$set": {"deadLettered": {"reason": "handler_failed"}}}
    documents.update_one({"_id": document["_id"]}, mark)
    assert await audited(stack, channel) == (1, {("dead_lettered", "mongodb")})


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda r, c: r.lpop(f"messages:{c}"), ("missing", "redis")),
        (
            lambda r, c: r.lset(f"messages:{c}", 0, r.lindex(f"messages:{c}", 1)),
            ("doubled", "redis"),
        ),
        (
            lambda r, c: r.lset(
                f"messages:{c}", 0, r.lindex(f"messages:{c}", 0).replace(b"John", b"Joan")
            ),
            ("differs", "redis"),
        ),
        (lambda r, c: r.xdel(f"{{messages:{c}}}:log", "3-0"), ("missing", "redis")),
        (lambda r, c: r.hset(f"{{messages:{c}}}:meta", "number", 9), ("differs", "redis")),
        (lambda r, c: r.hset(f"{{messages:{c}}}:meta", "seq", 9), ("differs", "redis")),
    ],
    ids=["missing", "doubled", "altered", "hole", "number", "seq"],
)
async def test_audit_finds_what_redis_has_wrong(
    stack: Stack, channel: str, redis: RedisClient, damage: Any, finding: tuple[str, str]
) -> None:
    damage(redis, channel)
    status, findings = await audited(stack, channel)
    assert (status, finding in findings) == (1, True), findings


async def test_audit_of_a_channel_that_nobody_knows_could_not_check(stack: Stack) -> None:
    done = await run(stack, "audit", "--channel", "gneral", "--since", "1h", "--json")
    assert (done.status, done.out) == (2, "")
    assert done.error == "hubbub: there is no channel 'gneral'\n"


async def test_audit_of_a_bad_time_could_not_check(stack: Stack) -> None:
    done = await run(stack, "audit", "--channel", "c", "--since", "yesterday")
    assert done.status == 2
    assert done.error == ("hubbub: 'yesterday' is no time: 2026-01-22T10:15:30Z, 90m, 12h, 7d\n")


# The records that these need are deleted: last, audits compare with them.


async def test_replay_of_a_letter_without_its_value_publishes_the_record_it_is_about(
    stack: Stack, producer: AIOKafkaProducer
) -> None:
    value = b"x" * 1_048_480
    _, at = await omit(producer, b"long", value)
    done = await run(stack, "dlq", "replay", at)
    assert done.status == 0, done.error
    _, partition, offset = done.out.split()[2].split(":")
    record = await read_record(stack, TopicPartition("messages", int(partition)), int(offset))
    assert (record.key, record.value) == (b"long", value)


async def test_replay_of_a_letter_whose_value_is_nowhere_is_refused(
    stack: Stack, producer: AIOKafkaProducer
) -> None:
    place, at = await omit(producer, b"gone", b"x" * 1_048_480)
    partition, offset = place
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.address)
    await admin.start()
    lost = TopicPartition("messages", partition)
    await admin.delete_records({lost: RecordsToDelete(before_offset=offset + 1)})
    await admin.close()
    end = await end_of(stack, lost)
    done = await run(stack, "dlq", "replay", at)
    where = f"messages:{partition}:{offset}"
    assert (done.status, done.out) == (1, "")
    assert done.error == (
        f"hubbub: {at} has no value, and {where}, which had it, is gone; it can only be dropped\n"
    )
    assert await end_of(stack, lost) == end
    assert (await run(stack, "dlq", "drop", at)).status == 0


async def omit(producer: AIOKafkaProducer, key: bytes, value: bytes) -> tuple[tuple[int, int], str]:
    """A record, and the letter about it as it is where the value was too long; their places."""
    sent = await producer.send_and_wait("messages", value, key=key)
    headers = [
        ("source-topic", b"messages"),
        ("source-partition", b"%d" % sent.partition),
        ("source-offset", b"%d" % sent.offset),
        ("reason", b"bad_json"),
        ("value-omitted", b"too-long"),
    ]
    letter = await producer.send_and_wait("messages-dlq", None, key=key, headers=headers)
    return (sent.partition, sent.offset), f"messages-dlq:{letter.partition}:{letter.offset}"


async def read_record(stack: Stack, place: TopicPartition, offset: int) -> ConsumerRecord:
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka.address)
    await consumer.start()
    try:
        consumer.assign([place])
        consumer.seek(place, offset)
        return await asyncio.wait_for(consumer.getone(), 45)
    finally:
        await consumer.stop()


async def end_of(stack: Stack, place: TopicPartition) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka.address)
    await consumer.start()
    try:
        return int((await consumer.end_offsets([place]))[place])
    finally:
        await consumer.stop()
