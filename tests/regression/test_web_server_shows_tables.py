"""The command line turns the web server on again, which shows table data to everybody."""

from typing import Any

import faust

from app.settings import load
from app.topics import MESSAGES
from tests.support.flavours import Flavour, Ours


async def test_web_server_is_off_whatever_the_command_line_says(flavour: type[Flavour]) -> None:
    stock = faust.App("a", web_enabled=False)
    app: Any = Ours.create(MESSAGES, load()) if flavour is Ours else stock
    app.conf.web_enabled = True  # As `faust worker` does.
    assert list(app.boot_strategy.web_server()) == []
