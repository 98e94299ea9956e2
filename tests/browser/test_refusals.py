"""What the JavaScript client does when it is refused, or not answered; the gateway is a script."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, WebSocketRoute

from tests.support.windows import WAIT_MS

pytestmark = pytest.mark.asyncio(loop_scope="session")

URL: Final = "http://gateway.test/"
FILES: Final = Path(__file__).parents[2] / "clients/javascript"
HELLO: Final = {"userCursor": "u", "heartbeatSeconds": 25, "notifications": 0,
                "limits": {"frameBytes": 1000, "channels": 3}}  # fmt: skip
FULL: Final = {"type": "error", "code": "too_many_channels", "detail": "there are three"}
AWAY: Final = {"type": "error", "code": "unavailable", "detail": "it is away", "retryAfter": 0.05}

Frame = dict[str, Any]
"""What a client or a gateway says."""


def joined(channel_id: str) -> Frame:
    return {"type": "joined", "channelId": channel_id, "cursor": "c", "recovered": "log",
            "activeUsers": [], "activeCount": 0}  # fmt: skip


def acknowledge(_: Frame) -> list[Frame]:
    return [{"type": "ack"}]


class ScriptedGateway:
    """Answers an op as `answers` says, else with `ack`, and the REST API as `pages` says."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Frame], list[Frame]]] = {}
        self.pages: dict[str, Frame | None] = {"unread": {"channels": []}}
        self.said: list[Frame] = []
        self.sockets: list[WebSocketRoute] = []
        self.has_ignored = asyncio.Event()
        self.is_kept = False
        """The browser keeps what the REST API answers, as from a page of another site."""

    def connect(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda text: self._answer(socket, json.loads(text)))
        self.send({"type": "hello", **HELLO})

    def send(self, frame: Frame) -> None:
        self.sockets[-1].send(json.dumps(frame))

    async def serve(self, route: Route) -> None:
        """A file of the client, or a page of the API; None: no answer at all."""
        path = route.request.url.partition("?")[0].removeprefix(URL)
        if path.startswith("client/"):
            await route.fulfill(path=FILES / path.removeprefix("client/"))
        elif path.startswith("api/") and self.is_kept:
            await route.abort()
        elif path.startswith("api/"):
            page = self.pages.get(path.rpartition("/")[2], {"items": [], "next": None, "unread": 0})
            if page is None:
                self.has_ignored.set()
            else:
                await route.fulfill(json=page)
        else:
            await route.fulfill(body="", content_type="text/html")

    def count(self, op: str) -> int:
        return sum(frame["op"] == op for frame in self.said)

    async def wait_for(self, op: str, count: int = 1) -> None:
        async with asyncio.timeout(WAIT_MS / 1000):
            while self.count(op) < count:
                await asyncio.sleep(0.005)

    def _answer(self, socket: WebSocketRoute, frame: Frame) -> None:
        self.said.append(frame)
        for answer in self.answers.get(frame["op"], acknowledge)(frame):
            socket.send(json.dumps({"id": frame["id"], **answer}))


def follow_three(gateway: ScriptedGateway) -> None:
    """Let a connection follow three channels, as a gateway lets it follow a hundred."""
    followed: set[str] = set()

    def join(frame: Frame) -> list[Frame]:
        if len(followed | {frame["channelId"]}) > 3:
            return [FULL]
        followed.add(frame["channelId"])
        return [joined(frame["channelId"])]

    def resume(frame: Frame) -> list[Frame]:
        if len(frame["channels"]) > 3:
            return [FULL]
        followed.clear()
        followed.update(frame["channels"])
        return [joined(channel_id) for channel_id in frame["channels"]]

    def leave(frame: Frame) -> list[Frame]:
        followed.discard(frame["channelId"])
        return [{"type": "left", "channelId": frame["channelId"]}]

    gateway.answers.update(join_channel=join, resume=resume, leave_channel=leave)


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, gateway: ScriptedGateway) -> AsyncIterator[Page]:
    """A page with a client that is about to connect: `client`."""
    page = await browser.new_page()
    page.set_default_timeout(WAIT_MS)
    await page.route("**/*", gateway.serve)
    await page.route_web_socket("**/ws?*", gateway.connect)
    await page.goto(URL)
    await page.evaluate("""async () => {
        const { HubbubClient } = await import("/client/hubbub.js");
        globalThis.client = new HubbubClient({ user: { id: "u1", name: "Anna" } });
    }""")
    yield page
    await page.close()


async def test_join_that_is_refused_is_tried_again_once_at_a_time(
    page: Page, gateway: ScriptedGateway
) -> None:
    moments: list[float] = []

    def refuse(frame: Frame) -> list[Frame]:
        moments.append(time.monotonic())
        return [{**AWAY, "channelId": frame["channelId"]}]

    gateway.answers["join_channel"] = refuse
    await page.evaluate("client.join('general'); client.connect()")
    await gateway.wait_for("join_channel", 6)
    # Two that were on their way at a time would come together. A timer may be a little early.
    assert min(later - earlier for earlier, later in pairwise(moments)) > 0.04


async def test_join_that_is_refused_for_good_is_not_tried_again(
    page: Page, gateway: ScriptedGateway
) -> None:
    refusal = {"type": "error", "code": "forbidden", "detail": "it is private", "retryAfter": 0.05}
    gateway.answers["join_channel"] = lambda frame: [{**refusal, "channelId": frame["channelId"]}]
    await page.evaluate("client.join('general'); client.connect()")
    await page.wait_for_function("client.channels.get('general').refusal === 'it is private'")
    await asyncio.sleep(0.2)
    assert gateway.count("join_channel") == 1


async def test_channels_that_a_resume_refuses_are_joined_later(
    page: Page, gateway: ScriptedGateway
) -> None:
    gateway.answers["join_channel"] = lambda frame: [joined(frame["channelId"])]
    gateway.answers["resume"] = lambda frame: [
        {**AWAY, "channelId": it} for it in frame["channels"]
    ]
    await page.evaluate("client.join('a'); client.join('b'); client.connect()")
    await gateway.wait_for("join_channel", 2)
    await page.wait_for_function("[...client.channels.values()].every((it) => it.cursor)")
    await gateway.sockets[0].close()
    await gateway.wait_for("resume")
    await gateway.wait_for("join_channel", 4)
    await asyncio.sleep(0.2)
    assert [it["channelId"] for it in gateway.said if it["op"] == "join_channel"] == ["a", "b"] * 2
    assert len(gateway.sockets) == 2


async def test_frame_that_is_too_large_is_refused_and_the_connection_stays(
    page: Page, gateway: ScriptedGateway
) -> None:
    def close(frame: Frame) -> list[Frame]:
        # As a gateway does with what is longer than `limits.frameBytes`.
        if len(json.dumps(frame, ensure_ascii=False).encode()) > 1000:
            asyncio.ensure_future(gateway.sockets[-1].close(code=1009))  # noqa: RUF006
            return []
        return acknowledge(frame)

    gateway.answers["edit_message"] = close
    await page.evaluate("client.connect()")
    await page.wait_for_function("client.state === 'online'")
    async with asyncio.timeout(WAIT_MS / 1000):
        edit = "client.edit('m1', 'é'.repeat(500)).catch((error) => error.code)"
        assert await page.evaluate(edit) == "too_large"
        assert (await page.evaluate("client.edit('m1', 'short')"))["type"] == "ack"
    assert len(gateway.sockets) == 1


async def test_draft_that_is_too_large_fails_and_the_next_is_sent(
    page: Page, gateway: ScriptedGateway
) -> None:
    accepted = {"type": "accepted", "message": {"id": "m1", "rev": 1, "number": None}}
    gateway.answers["join_channel"] = lambda frame: [joined(frame["channelId"])]
    gateway.answers["send_message"] = lambda _: [accepted]
    await page.evaluate("client.join('a'); client.connect()")
    await page.wait_for_function("client.channels.get('a').cursor !== null")
    await page.evaluate("client.send('a', 'x'.repeat(1000)); client.send('a', 'short')")
    await page.wait_for_function("client.channels.get('a').drafts.at(-1).state === 'accepted'")
    states = await page.evaluate("client.channels.get('a').drafts.map((it) => it.state)")
    assert states == ["failed", "accepted"]


async def test_half_of_a_pair_is_sent_and_shown_as_a_replacement_character(
    page: Page, gateway: ScriptedGateway
) -> None:
    accepted = {"type": "accepted", "message": {"id": "m1", "rev": 1, "number": None}}
    gateway.answers["join_channel"] = lambda frame: [joined(frame["channelId"])]
    gateway.answers["send_message"] = lambda _: [accepted]
    await page.evaluate("client.join('a'); client.connect()")
    await page.wait_for_function("client.channels.get('a').cursor !== null")
    await page.evaluate(r"""async () => {
        const metadata = { "\ud83d": "\\ud83d\n" };
        await client.send("a", "\udca9 \ud83d\ude00\ud83d", { metadata });
        await client.edit("m1", "\ud83d");
    }""")
    sent, edited = [it for it in gateway.said if it["op"] in ("send_message", "edit_message")]
    assert (sent["content"], sent["metadata"]) == ("\ufffd 😀\ufffd", {"\ufffd": "\\ud83d\n"})
    assert edited["content"] == "\ufffd"
    assert await page.evaluate("client.channels.get('a').drafts[0].content") == sent["content"]


async def test_channel_too_many_is_joined_when_there_is_a_place(
    page: Page, gateway: ScriptedGateway
) -> None:
    follow_three(gateway)
    await page.evaluate("client.connect()")
    await page.wait_for_function("client.state === 'online'")
    await page.evaluate("for (const id of 'abcde') client.join(id)")
    await gateway.wait_for("join_channel", 5)
    await page.wait_for_function("client.channels.get('e').refusal === 'there are three'")
    await page.evaluate("{ client.leave('a') }")
    await page.wait_for_function("client.channels.get('d').cursor")
    assert await page.evaluate("[...client.channels.values()].map((it) => it.refusal)") == [
        "", "", "", "there are three",
    ]  # fmt: skip
    assert gateway.count("join_channel") == 6


async def test_connection_resumes_as_many_channels_as_it_may_follow(
    page: Page, gateway: ScriptedGateway
) -> None:
    follow_three(gateway)
    await page.evaluate("client.connect()")
    await page.wait_for_function("client.state === 'online'")
    await page.evaluate("for (const id of 'abcd') client.join(id)")
    await gateway.wait_for("join_channel", 4)
    # One that was followed before, too: it lost its place to another.
    await page.wait_for_function("client.channels.get('d').refusal")
    await page.evaluate("client.channels.get('d').cursor = 'c'")
    await gateway.sockets[0].close()
    await gateway.wait_for("resume")
    await asyncio.sleep(0.2)
    [resume] = [it for it in gateway.said if it["op"] == "resume"]
    assert list(resume["channels"]) == ["a", "b", "c"]
    assert await page.evaluate("client.channels.get('d').refusal")
    assert len(gateway.sockets) == 2
    await page.evaluate("{ client.leave('b') }")
    await gateway.wait_for("join_channel", 5)
    assert gateway.said[-1] == {**gateway.said[-1], "channelId": "d", "since": "c"}


async def test_channel_that_is_refused_for_good_takes_no_place(
    page: Page, gateway: ScriptedGateway
) -> None:
    follow_three(gateway)
    follow = gateway.answers["join_channel"]
    refusal = {"type": "error", "code": "invalid", "detail": "no such id"}
    gateway.answers["join_channel"] = lambda frame: (
        [refusal] if frame["channelId"] == "a" else follow(frame)
    )
    await page.evaluate("for (const id of 'abcde') client.join(id); client.connect()")
    await page.wait_for_function("client.channels.get('e').refusal === 'there are three'")
    await gateway.sockets[0].close()
    await gateway.wait_for("resume")
    [resume] = [it for it in gateway.said if it["op"] == "resume"]
    assert list(resume["channels"]) == ["b", "c", "d"]
    await page.wait_for_function("client.state === 'online'")
    await page.evaluate("{ client.leave('b') }")
    await page.wait_for_function("client.channels.get('e').cursor")
    assert await page.evaluate("client.channels.get('a').refusal") == "no such id"


async def test_mentions_are_counted_up_to_a_hundred(page: Page, gateway: ScriptedGateway) -> None:
    unread = {"channelId": "a", "read": 1, "mentions": 98, "number": 99}
    gateway.answers["join_channel"] = lambda frame: [joined(frame["channelId"])]
    gateway.pages["unread"] = {"channels": [unread]}
    await page.evaluate("client.connect()")
    await page.wait_for_function("client.channels.get('a')?.cursor")
    for number, shown in ((100, 99), (101, 100), (102, 100)):
        message = {"id": f"m{number}", "rev": 1, "number": number, "senderId": "u2",
                   "senderName": "Ben", "content": "@Anna", "mentions": ["u1"]}  # fmt: skip
        gateway.send({"type": "message", "channelId": "a", "cursor": "c", "data": message})
        await page.wait_for_function(f"client.channels.get('a').number === {number}")
        assert await page.evaluate("client.channels.get('a').mentions") == shown


async def test_gateway_whose_answers_the_browser_keeps_is_told_from_a_good_one(
    page: Page, gateway: ScriptedGateway
) -> None:
    await page.evaluate("""{
        globalThis.told = [];
        const note = () => told.push(`${client.state} ${client.isAnswered}`);
        client.addEventListener("state", note);
    }""")
    gateway.is_kept = True
    await page.evaluate("client.connect()")
    await page.wait_for_function("told.at(-1) === 'online false'")
    gateway.is_kept = False
    await page.wait_for_function("told.at(-1) === 'online true'")


async def test_read_mark_that_is_refused_is_said_again_until_it_is_taken(
    page: Page, gateway: ScriptedGateway
) -> None:
    answers = iter([AWAY, AWAY])
    unread = {"channelId": "a", "read": 1, "mentions": 0, "number": 3}
    gateway.answers["join_channel"] = lambda frame: [joined(frame["channelId"])]
    gateway.answers["read"] = lambda _: [next(answers, {"type": "ack"})]
    gateway.pages["unread"] = {"channels": [unread]}
    await page.evaluate("client.connect()")
    await page.wait_for_function("client.channels.get('a')?.unread === 2")
    # Nobody looks at its end, as the page does not.
    await page.evaluate("{ client.markRead('a').catch(() => {}) }")
    await gateway.wait_for("read", 3)
    await asyncio.sleep(0.2)
    assert [it["number"] for it in gateway.said if it["op"] == "read"] == [3, 3, 3]


async def test_question_that_is_never_answered_is_asked_again(
    page: Page, gateway: ScriptedGateway
) -> None:
    gateway.pages["unread"] = None
    # Nobody waits for fifteen seconds here.
    await page.evaluate("""{
        globalThis.timeout = AbortSignal.timeout.bind(AbortSignal);
        AbortSignal.timeout = (ms) => timeout(ms / 100);
    }""")
    await page.evaluate("client.connect()")
    await asyncio.wait_for(gateway.has_ignored.wait(), WAIT_MS / 1000)
    # What is answered may take its time.
    await page.evaluate("{ AbortSignal.timeout = timeout }")
    gateway.pages["unread"] = {
        "channels": [{"channelId": "a", "read": 1, "mentions": 0, "number": 3}]
    }
    await page.wait_for_function("client.channels.get('a')?.unread === 2")
