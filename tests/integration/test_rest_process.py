"""The process `python -m web`: its start, its address, its end."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest

from app.clients import Database
from app.commands.release import release
from app.ids import new_id
from app.settings import Settings
from dev.ports import free_port
from dev.servers import Kafka, MongoDB
from dev.supervisor import GRACE_SECONDS

GOOD = {"content": "Hello", "channelId": "c", "senderId": "alice", "senderName": "Alice"}


async def spawn(**variables: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "web",
        env={**os.environ, "HUBBUB_HOST": "127.0.0.1", **variables}, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip


@pytest.fixture
async def address(settings: Settings) -> AsyncIterator[tuple[str, Process]]:
    """A gateway process that answers, and its address; killed if the test did not end it."""
    await release(settings)
    port = free_port()
    process = await spawn(PORT=str(port))
    assert process.stdout is not None
    try:
        async with asyncio.timeout(45):
            while b"gateway_started" not in (line := await process.stdout.readline()):
                assert line, (await process.communicate())[1]
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_process_ends_in_time_with_clients_connected_and_kafka_away(
    address: tuple[str, Process], kafka_server: Kafka, database: Database
) -> None:
    url, process = address
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/api/messages", json=GOOD) as response:
            assert response.status == 201
        kafka_server.freeze()
        try:
            posting = asyncio.create_task(session.post(f"{url}/api/messages", json=GOOD))
            async with asyncio.timeout(45):
                while await database["messages"].count_documents({}) < 2:
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            output, errors = await asyncio.wait_for(process.communicate(), GRACE_SECONDS)
            assert (await posting).status == 201
        finally:
            kafka_server.thaw()
    assert process.returncode == 0, errors
    assert errors == b""
    events = [orjson.loads(line)["event"] for line in output.splitlines()]
    assert events[-1] == "gateway_stopped"


async def test_process_takes_header_lines_of_15_kilobytes(address: tuple[str, Process]) -> None:
    url, _ = address
    path = f"{url}/api/messages/{new_id()}"
    async with aiohttp.ClientSession() as session:
        async with session.get(path, headers={"Last-Event-ID": "x" * 15_000}) as response:
            assert response.status == 404
        async with session.get(f"{path}?{'x' * 15_000}") as response:
            assert response.status == 422  # It was read, and no such parameter is known.


async def test_process_with_a_bad_setting_says_which_in_one_line() -> None:
    process = await spawn(PORT="none")
    _, errors = await asyncio.wait_for(process.communicate(), 45)
    assert process.returncode == 1
    assert errors.startswith(b"hubbub: PORT: ")
    assert errors.count(b"\n") == 1


async def test_process_whose_dependency_is_missing_names_it_and_gives_up(
    settings: Settings,
) -> None:
    missing = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(free_port())}
    process = await spawn(PORT=str(free_port()), HUBBUB_START_TIMEOUT_SECONDS="2", **missing)
    output, errors = await asyncio.wait_for(process.communicate(), 45)
    assert process.returncode == 1
    assert errors == b"hubbub: redis does not answer after 2 s\n"
    events = [orjson.loads(line)["event"] for line in output.splitlines()]
    assert events == ["waiting_for_dependency"]


async def test_process_whose_port_is_taken_says_so_in_one_line(
    address: tuple[str, Process], settings: Settings
) -> None:
    port = address[0].rpartition(":")[2]
    process = await spawn(PORT=port)
    _, errors = await asyncio.wait_for(process.communicate(), 45)
    assert process.returncode == 1
    assert errors.startswith(b"hubbub: cannot listen: ")
    assert errors.count(b"\n") == 1


async def test_process_ends_in_time_while_mongodb_is_away(
    address: tuple[str, Process], mongodb_server: MongoDB
) -> None:
    url, process = address
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    body = orjson.dumps(GOOD)
    mongodb_server.freeze()
    try:
        writer.write(
            b"POST /api/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
        )
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")  # The call has begun.
        writer.write(body)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    finally:
        mongodb_server.thaw()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert process.returncode == 0
