"""Which message's number says that those of the batch before are there."""

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from agents.numbering import Numbering
from agents.plan import Plan
from app.archive.applied import Applied
from app.archive.documents import Document
from app.archive.marks import Elected, Marks
from app.stream_log.log import Source
from app.streaming.lease import Lease
from app.streaming.work import Received, Work

SOURCE = Source("messages", 0, "aaaaaaaa")


class Cut:
    """Marks on a primary, and an election by which the last `lost` numbers are gone."""

    def __init__(self, lost: int) -> None:
        self._lost = lost
        self._written: list[str] = []

    async def number(self, marks: Sequence[Applied], _: Collection[str]) -> None:
        """One update: MongoDB writes in the order of the ids."""
        self._written = sorted(mark.message_id for mark in marks)

    async def number_few(self, marks: Sequence[Applied], _: Collection[str]) -> None:
        """An update each, in their order."""
        self._written = [mark.message_id for mark in marks]

    async def find_all(self, message_ids: Collection[str]) -> dict[str, Document]:
        kept = self._written[: len(self._written) - self._lost]
        return {each: {"_id": each, "number": 1 if each in kept else None} for each in message_ids}


@pytest.mark.parametrize("is_read", [True, False])
async def test_batch_behind_one_whose_last_number_is_lost_is_not_planned(is_read: bool) -> None:
    """The younger message, of another channel, came first."""
    marks = [mark("b", "c", 0), mark("a", "d", 1)]
    numbering = await number(Cut(lost=1), marks, is_read=is_read)
    with pytest.raises(Elected):
        await numbering.find(SOURCE, 2, ["z"])


@pytest.mark.parametrize("is_read", [True, False])
async def test_batch_behind_one_that_has_its_numbers_is_planned(is_read: bool) -> None:
    marks = [mark("b", "c", 0), mark("a", "d", 1)]
    numbering = await number(Cut(lost=0), marks, is_read=is_read)
    assert "z" in await numbering.find(SOURCE, 2, ["z"])


async def number(marks: Cut, written: Sequence[Applied], *, is_read: bool) -> Numbering:
    """The numbering after a batch that gave these numbers."""
    numbering = Numbering(cast(Marks, marks), lambda _: None)
    plan = Plan(marks={mark.message_id: mark for mark in written})
    await (numbering.write(plan) if is_read else numbering.write_unread(SOURCE, plan))
    last = cast(Received, SimpleNamespace(offset=written[-1].offset))
    numbering.go_on(Work(SOURCE, [last], Lease(1e9)), plan)
    return numbering


def mark(message_id: str, channel_id: str, offset: int) -> Applied:
    return Applied(
        message_id, "messages", 1, "aaaaaaaa", 0, offset, 1, offset, channel_id=channel_id
    )
