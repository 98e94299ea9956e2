"""Ports of servers and processes that are started side by side."""

from dev.ports import free_port


def test_free_port_of_many_is_given_to_one() -> None:
    """Nobody listens on any of them yet."""
    given = [free_port() for _ in range(1000)]
    assert len(set(given)) == len(given)
