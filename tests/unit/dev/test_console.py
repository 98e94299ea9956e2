"""Many processes' lines on one terminal."""

import io

from dev.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_lines_have_their_processs_name_aligned() -> None:
    output = io.StringIO()
    console = Console(["web.1", "notifications.1"], output)
    console.print_line("web.1", b"hello\n")
    console.say("stopped")
    assert output.getvalue().splitlines() == [
        " web.1           | hello",
        " hubbub          | stopped",
    ]


def test_processes_have_colours_of_their_own_on_a_terminal() -> None:
    output = Terminal()
    console = Console(["web.1", "web.2"], output)
    console.print_line("web.1", "one")
    console.print_line("web.2", "two")
    one, two = output.getvalue().splitlines()
    assert one.endswith("one")
    assert one.split("web.1", maxsplit=1)[0] != two.split("web.2", maxsplit=1)[0]


def test_a_console_that_nobody_reads_is_broken_and_raises_nothing() -> None:
    console = Console(["web.1"], Closed())
    console.say("hello")
    assert console.is_broken
