"""Inserts of documents that may be there already."""

import logging
from collections.abc import Sequence
from typing import Final

from pymongo.errors import BulkWriteError

from app.archive.documents import Document
from app.clients import Collection

log = logging.getLogger(__name__)

_DUPLICATE_KEY: Final = 11000


async def insert_missing(collection: Collection, documents: Sequence[Document]) -> list[Document]:
    """Insert those documents whose unique keys are not there, in one write; return them.

    One that MongoDB refuses for another reason fails alone: it is logged, and not returned.

    Raises:
        pymongo.errors.PyMongoError: which of them were written is unknown.
    """
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        if details.get("writeConcernErrors"):
            raise
        failures = {item["index"]: item["code"] for item in details.get("writeErrors", ())}
        refused = sorted(code for code in failures.values() if code != _DUPLICATE_KEY)
        if refused:
            fields = {"collection": collection.name, "count": len(refused), "code": refused[0]}
            log.error("documents_refused", extra=fields)  # noqa: TRY400 - it holds documents
        return [document for index, document in enumerate(documents) if index not in failures]
    return list(documents)
