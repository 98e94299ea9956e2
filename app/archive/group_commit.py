"""Concurrent inserts, gathered into one write while the one before is under way.

A majority write costs MongoDB's journal and replication the same for one document as for hundreds,
so a busy gateway inserts tenfold. Each insert has its own answer: a document that MongoDB refuses
fails alone, and one whose caller has gone before its group was formed is not written at all.

The command is sent as it is, not as a retryable write of the driver: for that MongoDB keeps a
record of the session in each write, which costs a group of one a quarter of its time. The documents
have ids, so whatever an attempt has written is recognised by the next.
"""

from typing import Any, Final

from bson import encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorCollection
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
from app.clients import NOT_PRIMARY_CODES
from app.gathering import Gathering

GROUP_LENGTH: Final = 500
_DUPLICATE_KEY: Final = 11000
_UNREACHABLE_CODES: Final = frozenset({6, 7, 89, 262, 9001})
"""What a router answers of a shard that it cannot reach, or not in time."""

_OWN_ID: Final = {"_id": 1}
_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)


class GroupCommit:
    """Inserts documents into one collection, in groups."""

    def __init__(self, collection: AsyncIOMotorCollection[Document]) -> None:
        self._database = collection.database
        self._name = collection.name
        self._write_concern = collection.write_concern.document
        self._inserts = Gathering(self._insert_group, GROUP_LENGTH)

    async def insert(self, document: Document) -> None:
        """Insert a document that has its `_id`; return when the write concern is satisfied.

        Raises:
            DuplicateKeyError: a unique index has its key already.
            pymongo.errors.PyMongoError: whether it was written is unknown.
        """
        # Encoded here, so that a document that cannot be encoded fails its own caller alone.
        raw = RawBSONDocument(encode(document, codec_options=_OPTIONS))
        failure = await self._inserts.ask(raw)
        if failure is not None:
            raise failure

    async def _insert_group(self, documents: list[RawBSONDocument]) -> list[PyMongoError | None]:
        """Return of each document why it was not written, or None."""
        try:
            reply = await self._send(documents)
            refused = reply.get("writeErrors", [])
        except AutoReconnect:
            # The connection or the primary was lost, and what was written is unknown. A majority
            # has it once this is answered, also where it has been written before.
            reply = await self._send(documents)
            refused = [e for e in reply.get("writeErrors", []) if e.get("keyPattern") != _OWN_ID]
        unconfirmed = reply.get("writeConcernError")
        failure = unconfirmed and WTimeoutError(unconfirmed.get("errmsg"), unconfirmed["code"])
        failures: list[PyMongoError | None] = [failure] * len(documents)
        for item in refused:
            failures[item["index"]] = _failure(item)
        return failures

    async def _send(self, documents: list[RawBSONDocument]) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = await self._database.command(
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


def _failure(item: dict[str, Any]) -> WriteError:
    kind = DuplicateKeyError if item["code"] == _DUPLICATE_KEY else WriteError
    return kind(item["errmsg"], item["code"], item)
