"""The numbers of a worker's channels: the newest it knows, and what must be there to go on.

A batch is worked on while the one before it may not be durable yet. If MongoDB elects a primary
that never had the numbers of that one, nothing may be built on them: whatever is read is read with
the message that was numbered last, and numbers are written only behind the ones that they follow.
So numbers have no hole and one order on every server of MongoDB, and in what follows an election.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from agents.plan import Plan
from app.archive.applied import last_numbered
from app.archive.documents import Document
from app.archive.marks import Elected, Election, Marks, Newest
from app.stream_log.log import Source
from app.streaming.work import Work
from tables.channel_state import ChannelState


@dataclass(frozen=True, slots=True)
class _Last:
    """The message that a batch numbered last, and the batch's last offset."""

    message_id: str
    offset: int


class Numbering:
    """What is remembered of each partition."""

    def __init__(self, marks: Marks, counted: Callable[[str], ChannelState | None]) -> None:
        self._marks = marks
        self._counted = counted
        self._newest: defaultdict[int, dict[str, Newest]] = defaultdict(dict)
        """By partition and channel, of the channels touched since the assignment."""
        self._last: dict[int, _Last] = {}
        """By partition. It outlives a failure: the batch before is as it was."""

    def forget(self, partition: int) -> None:
        """Read the newest numbers of this partition's channels again."""
        self._newest.pop(partition, None)

    def knows(self, partition: int, channel_ids: Collection[str]) -> bool:
        """Whether MongoDB need not be asked for these channels' newest numbers."""
        return self._newest[partition].keys() >= set(channel_ids)

    async def newest(
        self, source: Source, first_offset: int, channel_ids: Collection[str]
    ) -> dict[str, Newest]:
        """Return the newest number of each channel, of these and of others; it may be counted up.

        Whoever asked MongoDB calls `find` afterwards.
        """
        newest = self._newest[source.partition]
        if unknown := [channel_id for channel_id in channel_ids if channel_id not in newest]:
            for channel_id, found in (await self._marks.newest(unknown)).items():
                counted = self._counted(channel_id)
                is_behind = counted is not None and counted.number > found.number
                if counted and is_behind and not _comes_again(counted, source, first_offset):
                    newest[channel_id] = Newest(counted.number)
                else:
                    newest[channel_id] = found
        return newest

    def peek(self, partition: int, channel_ids: Collection[str]) -> dict[str, Newest] | None:
        """Return what is remembered of channels' newest numbers, if that is all of them: a copy,
        which `write_unread` takes back."""
        newest = self._newest[partition]
        return {c: newest[c] for c in channel_ids} if self.knows(partition, channel_ids) else None

    async def find(
        self, source: Source, first_offset: int, message_ids: Collection[str]
    ) -> dict[str, Document]:
        """Return the documents of a batch's messages, by id.

        Raises:
            Elected: the numbers of the batch before it are lost, to this primary at least. What was
                read before this is worth nothing either.
        """
        last = self._last.get(source.partition)
        if last is None or last.offset >= first_offset:  # It comes again itself.
            return await self._marks.find_all(message_ids) if message_ids else {}
        documents = await self._marks.find_all({*message_ids, last.message_id})
        document = documents.get(last.message_id)
        if document is not None and document.get("number") is None:
            raise Elected("MongoDB has elected, and the numbers of the batch before are lost")
        return documents

    async def write(self, plan: Plan) -> Election:
        """Write the marks of a plan; raises as `Marks.number` does."""
        before = {message_id for message_id in plan.before.values() if message_id is not None}
        election = await self._marks.number(list(plan.marks.values()), before)
        plan.numbered_last = last_numbered(plan.marks.values())
        return election

    async def write_unread(self, source: Source, plan: Plan) -> Election:
        """Write the marks of a plan that was made without MongoDB, for few messages.

        Raises:
            Overtaken, Elected, NumberConflict: as `Marks.number_few`.
        """
        marks = list(plan.marks.values())
        before = {message_id for message_id in plan.before.values() if message_id is not None}
        last = self._last.get(source.partition)
        if last is not None and last.offset < marks[0].offset:
            before.add(last.message_id)
        election = await self._marks.number_few(marks, before)
        plan.numbered_last = marks[-1].message_id
        for mark in marks:
            newest = Newest(mark.number or 0, mark.message_id)
            self._newest[source.partition][mark.channel_id] = newest
        return election

    def go_on(self, work: Work, plan: Plan) -> None:
        """Note that a batch has been worked on: whatever comes next rests on its numbers."""
        if last := plan.numbered_last:
            self._last[work.source.partition] = _Last(last, work.received[-1].offset)


def _comes_again(counted: ChannelState, source: Source, first_offset: int) -> bool:
    """Whether the table has counted records that are delivered again from `first_offset` on.

    MongoDB may have rolled back the numbers that were counted then. They are given again, so it
    alone says where to begin.
    """
    incarnation, partition, offset = counted.position
    is_same = incarnation == source.incarnation and partition == source.partition
    return bool(is_same and offset >= first_offset)
