"""The outbox's bound and its coalescing, on a transport that only counts."""

import asyncio

from web.fan_out.outbox import BOUND_BYTES, BOUND_FRAMES, Flusher, Outbox


class Stalled(asyncio.Transport):
    """A transport whose client takes what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.held = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))
        self.held += len(data)

    def get_write_buffer_size(self) -> int:
        return self.held

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


def make() -> tuple[Outbox, Stalled, list[Outbox], Flusher]:
    dropped: list[Outbox] = []
    flusher = Flusher(dropped.append)
    transport = Stalled()
    return Outbox(transport, flusher), transport, dropped, flusher


async def test_all_of_a_turn_leaves_in_one_write() -> None:
    outbox, transport, _, _ = make()
    outbox.put(b"a", 1)
    outbox.put(b"b", 1)
    assert transport.writes == []
    await asyncio.sleep(0)
    assert transport.writes == [b"ab"]


async def test_client_that_takes_everything_is_never_dropped() -> None:
    outbox, transport, dropped, flusher = make()
    for _ in range(10):
        outbox.put(b"x" * BOUND_BYTES, BOUND_FRAMES)
        flusher.flush()
        transport.held = 0
    assert dropped == []


async def test_client_that_lags_a_little_for_ever_is_never_dropped() -> None:
    outbox, transport, dropped, flusher = make()
    for _ in range(5000):
        outbox.put(b"x" * 300, 1)
        flusher.flush()
        transport.held = min(transport.held, 3000)
    assert dropped == []


async def test_over_a_thousand_frames_held_is_dropped() -> None:
    outbox, _, dropped, flusher = make()
    for _ in range(BOUND_FRAMES + 1):
        outbox.put(b"x" * 10, 1)
        flusher.flush()
    assert dropped == []
    outbox.put(b"x" * 10, 1)
    flusher.flush()
    assert dropped == [outbox]


async def test_over_a_mebibyte_held_is_dropped() -> None:
    outbox, _, dropped, flusher = make()
    for _ in range(33):
        outbox.put(b"x" * (BOUND_BYTES // 32), 1)
        flusher.flush()
    assert dropped == []
    outbox.put(b"x", 1)
    flusher.flush()
    assert dropped == [outbox]


async def test_page_of_a_replay_does_not_count() -> None:
    outbox, _, dropped, flusher = make()
    outbox.allowance_bytes = 2 * BOUND_BYTES
    outbox.put(b"x" * 2 * BOUND_BYTES, 100)
    flusher.flush()
    outbox.put(b"live", 1)
    flusher.flush()
    assert dropped == []
    assert not outbox.is_crowded


async def test_outbox_is_crowded_over_half() -> None:
    outbox, _, _, flusher = make()
    outbox.put(b"x" * (BOUND_BYTES // 2), 1)
    flusher.flush()
    assert not outbox.is_crowded
    outbox.put(b"x", 1)
    flusher.flush()
    assert outbox.is_crowded


async def test_nothing_is_written_after_the_last_word() -> None:
    outbox, transport, _, flusher = make()
    outbox.put(b"a", 1)
    outbox.finish(b"bye")
    outbox.put(b"late", 1)
    outbox.finish(b"again")
    flusher.flush()
    assert transport.writes == [b"abye"]
