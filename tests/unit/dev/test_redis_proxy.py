"""What the proxy before Redis passes on."""

import pytest

from dev.redis_proxy import RedisProxy

PUBLISHED = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n\r\n\r\n\r\n"
OTHERS = b"+PONG\r\n:1\r\n$-1\r\n*2\r\n$1\r\na\r\n*-1\r\n-ERR x\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_replies_pass_as_they_came_however_they_were_cut(size: int) -> None:
    proxy, buffer, passed, sent = RedisProxy(1), bytearray(), b"", OTHERS + PUBLISHED + OTHERS
    for start in range(0, len(sent), size):
        buffer += sent[start : start + size]
        passed += proxy._take_replies(buffer)
    assert passed == sent


def test_published_messages_alone_are_dropped() -> None:
    proxy = RedisProxy(1)
    proxy.is_dropped = lambda: True
    assert proxy._take_replies(bytearray(OTHERS + PUBLISHED + OTHERS)) == OTHERS + OTHERS
    assert proxy.dropped_count == 1
