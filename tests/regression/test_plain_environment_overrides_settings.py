"""Plain variables of the environment go over what the program says."""

import faust
import pytest

from app.settings import load
from app.topics import MESSAGES
from tests.support.flavours import Flavour, Ours


async def test_variable_without_our_prefix_changes_nothing(
    flavour: type[Flavour], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_BUFFER_MAXSIZE", "7")
    monkeypatch.setenv("NODE_HOSTNAME", "elsewhere")
    app = Ours.create(MESSAGES, load()) if flavour is Ours else faust.App("a")
    assert app.conf.stream_buffer_maxsize != 7
