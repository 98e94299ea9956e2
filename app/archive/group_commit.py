"""Concurrent inserts, gathered into one write while the one before is under way.

A majority write costs MongoDB's journal and replication the same for one document as for hundreds,
so a busy gateway inserts tenfold. Each insert has its own answer: a document that MongoDB refuses
fails alone, and one whose caller has gone before its group was formed is not written at all.
"""

import asyncio
from typing import Any, Final

from bson import encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError, WriteError, WTimeoutError

from app.archive.documents import Document

GROUP_LENGTH: Final = 500
_DUPLICATE_KEY: Final = 11000
_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)


class GroupCommit:
    """Inserts documents into one collection, in groups."""

    def __init__(self, collection: AsyncIOMotorCollection[Document]) -> None:
        self._collection = collection
        self._waiting: list[tuple[RawBSONDocument, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def insert(self, document: Document) -> None:
        """Insert a document that has its `_id`; return when the write concern is satisfied.

        Raises:
            DuplicateKeyError: a unique index has its key already.
            pymongo.errors.PyMongoError: whether it was written is unknown.
        """
        # Encoded here, so that a document that cannot be encoded fails its own caller alone.
        raw = RawBSONDocument(encode(document, codec_options=_OPTIONS))
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((raw, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await written

    async def _write(self) -> None:
        try:
            while group := self._next_group():
                await self._write_group(group)
        finally:
            self._writing = None
            # Only a cancelled writer leaves any behind: the process ends.
            for _, written in self._waiting:
                written.cancel()

    def _next_group(self) -> list[tuple[RawBSONDocument, asyncio.Future[None]]]:
        wanted = [item for item in self._waiting if not item[1].done()]
        self._waiting = wanted[GROUP_LENGTH:]
        return wanted[:GROUP_LENGTH]

    async def _write_group(self, group: list[tuple[RawBSONDocument, asyncio.Future[None]]]) -> None:
        failures: dict[int, Exception] = {}
        rest: Exception | None = None
        try:
            await self._collection.insert_many([raw for raw, _ in group], ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            failures = {item["index"]: _failure(item) for item in details.get("writeErrors", [])}
            if unconfirmed := details.get("writeConcernErrors"):
                rest = WTimeoutError(str(unconfirmed[0].get("errmsg")), unconfirmed[0].get("code"))
        except Exception as error:  # noqa: BLE001 - each caller raises it
            rest = error
        for index, (_, written) in enumerate(group):
            if written.done():  # Its caller has gone.
                continue
            failure = failures.get(index, rest)
            if failure is None:
                written.set_result(None)
            else:
                written.set_exception(failure)


def _failure(item: dict[str, Any]) -> WriteError:
    kind = DuplicateKeyError if item["code"] == _DUPLICATE_KEY else WriteError
    return kind(item["errmsg"], item["code"], item)
