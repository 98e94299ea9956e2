"""`python -m app`: the operator's commands."""

import argparse
import asyncio
import logging
import os
import sys

from aiokafka.errors import KafkaError

from app import settings as settings_module
from app.commands.audit import COULD_NOT_CHECK, audit_channel
from app.commands.dlq import drop_letters, list_letters, replay_letters, show_letter
from app.commands.lag import show_lag
from app.commands.release import release
from app.commands.topics import adopt_topics, list_topics
from app.errors import HubbubError
from app.outages import Outage
from app.settings import Settings
from app.telemetry import logs


def main() -> int:
    """Run one command; return the exit status, 1 with one line on stderr if it failed."""
    arguments = _parser().parse_args()
    failed = COULD_NOT_CHECK if arguments.command == "audit" else 1
    try:
        status = _call(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough; at its end the interpreter would try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failed
    except HubbubError as error:
        sys.stderr.write(f"hubbub: {error}\n")
        return failed
    except Outage as error:
        server = "kafka" if isinstance(error, KafkaError) else "a server"
        sys.stderr.write(f"hubbub: {server} failed meanwhile: {type(error).__name__}\n")
        return failed
    return status


def _call(arguments: argparse.Namespace) -> int:
    if arguments.command == "settings":
        sys.stdout.write(settings_module.example())
        return 0
    settings = settings_module.load()
    logs.configure(level=settings.log_level, form=settings.log_format)
    if arguments.command != "release":
        # What a command prints is its answer alone, for a program to read.
        logging.disable()
    return asyncio.run(_run(arguments, settings))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    match arguments.command, getattr(arguments, "action", None):
        case "release", _:
            await release(settings)
            status = 0
        case "topics", "adopt":
            status = await adopt_topics(settings, arguments.topic)
        case "topics", _:
            status = await list_topics(settings, as_json=arguments.json)
        case "dlq", "list":
            status = await list_letters(
                settings, arguments.topic, everything=arguments.all, as_json=arguments.json
            )
        case "dlq", "show":
            status = await show_letter(settings, arguments.letter, as_json=arguments.json)
        case "dlq", "replay":
            status = await replay_letters(settings, arguments.letter)
        case "dlq", _:
            status = await drop_letters(settings, arguments.letter)
        case "audit", _:
            status = await audit_channel(
                settings, arguments.channel, arguments.since, as_json=arguments.json
            )
        case _:
            status = await show_lag(settings, as_json=arguments.json)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("release", help="provision topics and indexes; safe to repeat")
    commands.add_parser("settings", help="print every setting with its default (.env.example)")

    topics = commands.add_parser(
        "topics",
        help="show the topics, or adopt one that was made anew",
        description="Show what exists and what differs from the settings; exit status 1 if "
        "anything does. `release` makes what is missing.",
    )
    _add_json(topics)
    actions = topics.add_subparsers(dest="action", metavar="ACTION")
    _add_json(actions.add_parser("list", help="the same as without an action"))
    adopt = actions.add_parser(
        "adopt",
        help="go on with a topic that was deleted and made again",
        description="Note a topic as it is now, under a new incarnation: positions that were "
        "kept for the old one count for nothing. Stop the topic's workers before.",
    )
    adopt.add_argument("topic", nargs="+", metavar="TOPIC")

    dlq = commands.add_parser("dlq", help="look at dead letters, replay or drop them")
    actions = dlq.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="the letters that wait for a decision")
    listed.add_argument("--topic", metavar="TOPIC", help="of one topic alone")
    listed.add_argument("--all", action="store_true", help="also those replayed or dropped")
    _add_json(listed)
    shown = actions.add_parser("show", help="one letter, with its headers and its value")
    shown.add_argument("letter", metavar="TOPIC:PARTITION:OFFSET")
    _add_json(shown)
    for name, help_text in (
        ("replay", "publish letters again to where they came from; safe to repeat"),
        ("drop", "decide that letters are to have no effect"),
    ):
        decided = actions.add_parser(name, help=help_text)
        decided.add_argument("letter", nargs="+", metavar="TOPIC:PARTITION:OFFSET")

    audit = commands.add_parser(
        "audit",
        help="compare what MongoDB, Kafka and Redis hold of a channel",
        description="Say what is missing, doubled or out of order. Exit status: 0 nothing, "
        "1 something, 2 it could not be checked.",
    )
    audit.add_argument("--channel", required=True, metavar="ID")
    audit.add_argument(
        "--since",
        required=True,
        metavar="TIME",
        help="compare with Kafka's records from this time on: 2026-01-22T10:15:30Z, or 90m, 12h, "
        "7d ago",
    )
    _add_json(audit)
    _add_json(commands.add_parser("lag", help="how far each consumer group is behind"))
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


if __name__ == "__main__":
    sys.exit(main())
