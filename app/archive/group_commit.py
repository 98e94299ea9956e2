"""Concurrent inserts, gathered into one write while the one before is under way.

A majority write costs MongoDB's journal and replication the same for one document as for hundreds,
so a busy gateway inserts tenfold. Each insert has its own answer: a document that MongoDB refuses
fails alone, and one whose caller has gone before its group was formed is not written at all.

A thread writes group after group as long as there are any: from MongoDB's answer to the next write
there is no turn of the event loop to wait for, which has the answered requests to go on with.

The command is sent as it is, not as a retryable write of the driver: for that MongoDB keeps a
record of the session in each write, which costs a group of one a quarter of its time. The documents
have ids, so whatever an attempt has written is recognised by the next.
"""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bson import encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    AutoReconnect,
    DuplicateKeyError,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WriteError,
    WTimeoutError,
)

from app.archive.documents import Document
from app.clients import Collection, for_threads
from app.outages import NOT_PRIMARY_CODES

GROUP_LENGTH: Final = 500
_DUPLICATE_KEY: Final = 11000
_UNREACHABLE_CODES: Final = frozenset({6, 7, 89, 262, 9001})
"""What a router answers of a shard that it cannot reach, or not in time."""

_OWN_ID: Final = {"_id": 1}
_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)


Waiting = tuple[RawBSONDocument, "asyncio.Future[None]"]


class GroupCommit:
    """Inserts documents into one collection, in groups."""

    def __init__(self, collection: Collection) -> None:
        self._database = for_threads(collection).database
        self._name = collection.name
        self._write_concern = collection.write_concern.document
        self._writer = ThreadPoolExecutor(1, "group-commit")
        self._lock = threading.Lock()
        self._waiting: list[Waiting] = []
        self._is_writing = False

    async def insert(self, document: Document) -> None:
        """Insert a document that has its `_id`; return when the write concern is satisfied.

        Raises:
            DuplicateKeyError: a unique index has its key already.
            pymongo.errors.PyMongoError: whether it was written is unknown.
        """
        # Encoded here, so that a document that cannot be encoded fails its own caller alone.
        raw = RawBSONDocument(encode(document, codec_options=_OPTIONS))
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiting.append((raw, written))
            is_first, self._is_writing = not self._is_writing, True
        if is_first:
            # In the next turn: what else comes in this one goes with it.
            loop.call_soon(self._writer.submit, self._write_groups, loop)
        await written

    def _write_groups(self, loop: asyncio.AbstractEventLoop) -> None:
        while group := self._next_group():
            failures: Sequence[Exception | None]
            try:
                failures = self._insert_group([raw for raw, _ in group])
            except Exception as error:  # noqa: BLE001 - each caller raises it
                failures = [error] * len(group)
            loop.call_soon_threadsafe(_answer, group, failures)

    def _next_group(self) -> list[Waiting]:
        with self._lock:
            wanted = [waiting for waiting in self._waiting if not waiting[1].done()]
            self._waiting = wanted[GROUP_LENGTH:]
            self._is_writing = bool(wanted)
        return wanted[:GROUP_LENGTH]

    def _insert_group(self, documents: list[RawBSONDocument]) -> list[PyMongoError | None]:
        """Return of each document why it was not written, or None."""
        try:
            reply = self._send(documents)
            refused = reply.get("writeErrors", [])
        except AutoReconnect:
            # The connection or the primary was lost, and what was written is unknown. A majority
            # has it once this is answered, also where it has been written before.
            reply = self._send(documents)
            refused = [e for e in reply.get("writeErrors", []) if e.get("keyPattern") != _OWN_ID]
        unconfirmed = reply.get("writeConcernError")
        failure = unconfirmed and WTimeoutError(unconfirmed.get("errmsg"), unconfirmed["code"])
        failures: list[PyMongoError | None] = [failure] * len(documents)
        for item in refused:
            failures[item["index"]] = _failure(item)
        return failures

    def _send(self, documents: list[RawBSONDocument]) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = self._database.command(
                "insert",
                self._name,
                documents=documents,
                ordered=False,
                writeConcern=self._write_concern,
            )
        except OperationFailure as error:
            if error.code in _UNREACHABLE_CODES:
                raise AutoReconnect(str(error)) from error
            raise
        errors = [*reply.get("writeErrors", []), reply.get("writeConcernError", {})]
        if lost := [error for error in errors if error.get("code") in NOT_PRIMARY_CODES]:
            raise NotPrimaryError(lost[0].get("errmsg"), reply)
        return reply


def _answer(group: Sequence[Waiting], failures: Sequence[Exception | None]) -> None:
    for (_, written), failure in zip(group, failures, strict=True):
        if written.done():
            continue  # Its caller has gone.
        if failure is None:
            written.set_result(None)
        else:
            written.set_exception(failure)


def _failure(item: dict[str, Any]) -> WriteError:
    kind = DuplicateKeyError if item["code"] == _DUPLICATE_KEY else WriteError
    return kind(item["errmsg"], item["code"], item)
